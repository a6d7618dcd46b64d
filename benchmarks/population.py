"""Training a population: ours, our own naive form, and PyTorch, in one run.

    python benchmarks/population.py --out=benchmarks/results/population_cpu.json
    python benchmarks/population.py --turns=0 --command_steps=500 --out=...

The 2-layer attention model of width 64 on published recall (vocabulary 8192, batch 64,
dropout 0.1 on the embedding), 16 members: 4 learning rates x 4 seeds. The roles take
turns, each alone in a process of its own on one core; the result is model steps per
second per core, the median over the turns. --command_steps also measures the time from
command to result, on all cores. Parts that are not measured again stay in an existing
file. The roles:

    ours            populations as `train.run` compiles them
    naive           vmap over the members, the head everywhere, a dispatch per step
    torch           the same model in PyTorch, the head everywhere, a member at a time
    torch_labelled  the same, the head only at labelled positions
"""

import importlib.metadata
import json
import math
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from absl import flags
from population_roles import (
    BATCH,
    MEMBERS,
    PAIRS,
    VOCABULARY,
    WIDTH,
    config,
    naive,
    ours,
)

from attn_research.flags import FLAGS, main

ROLES = ("ours", "naive", "torch", "torch_labelled")

# PyTorch allocates memory in every step, and by default glibc returns large blocks to
# the system each time; with these settings it keeps them: PyTorch is up to 1.8x faster.
KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(2**33),
    "MALLOC_TRIM_THRESHOLD_": str(2**34),
}

flags.DEFINE_string("out", None, "JSON file to write.")
flags.DEFINE_string("role", None, "Role to measure in this process (internal).")
flags.DEFINE_integer("length", 64, "Sequence length of that role (internal).")
flags.DEFINE_list("cores", None, "Cores of that role (internal).")
flags.DEFINE_float("seconds", 20.0, "Seconds to measure each role in a turn.")
flags.DEFINE_integer("turns", 3, "Turns of every role; 0: do not measure the speed.")
flags.DEFINE_integer(
    "command_steps",
    0,
    "If not 0, also time command to result at this many steps.",
)
flags.DEFINE_list(
    "command_peers",
    ["torch_labelled", "torch"],
    "Peers to time, too.",
)
flags.DEFINE_float("command_limit", 2.0, "Stop a peer after this many times our time.")
flags.DEFINE_float("patience", float("inf"), "Time limit of that role, s (internal).")


def measure(role: str, length: int, seconds: float) -> dict[str, float]:
    """The speed of one role, measured in this process."""
    if role == "ours":
        return ours(length, seconds)
    if role == "naive":
        return naive(length, seconds)
    import torch_peer

    return torch_peer.train(
        length=length,
        pairs=PAIRS[length],
        vocabulary=VOCABULARY,
        width=WIDTH,
        batch=BATCH,
        members=[(lr, seed) for lr in MEMBERS.lr for seed in MEMBERS.seed],
        labelled=role == "torch_labelled",
        seconds=seconds,
        steps=FLAGS.command_steps,
        patience=FLAGS.patience,
    )


def child(
    role: str,
    length: int,
    cores: list[int],
    steps: int = 0,
    patience: float = math.inf,
) -> dict[str, float]:
    """The speed of one role, measured in a process of its own on the given cores."""
    command = [
        sys.executable,
        __file__,
        f"--role={role}",
        f"--length={length}",
        f"--seconds={FLAGS.seconds}",
        f"--command_steps={steps}",
        f"--patience={patience}",
        f"--cores={','.join(map(str, cores))}",
    ]
    environment = dict(os.environ, NPROC=str(len(cores)), JAX_PLATFORMS="cpu")
    if role.startswith("torch"):
        environment |= KEEP_MEMORY
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    return json.loads(done.stdout.splitlines()[-1])


def command_to_result(steps: int, cores: list[int]) -> dict[str, Any]:
    """Seconds from the command to the result of 16 members, on all cores.

    A peer over the limit is stopped; its `ratio` is then a lower bound, and `members`
    is how many of the sixteen it finished.
    """
    import tempfile

    root = Path(__file__).resolve().parents[1]
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        c = config(64, steps)
        subprocess.run(
            [
                sys.executable,
                str(root / "scripts" / "train.py"),
                f"--out={folder}/run",
                f"--task={c.task}",
                f"--model.pattern={c.model.pattern}",
                "--model.positions=learned",
                "--model.embed_dropout=0.1",
                f"--train.steps={steps}",
                f"--train.eval_every={steps}",
                "--train.eval_batches=1",
                "--train.test_batches=1",
                "--lr=" + ",".join(map(str, MEMBERS.lr)),
                "--seed=" + ",".join(map(str, MEMBERS.seed)),
            ],
            check=True,
            capture_output=True,
            env=dict(os.environ, JAX_ENABLE_COMPILATION_CACHE="false"),
        )
        mine = time.perf_counter() - began
    results: dict[str, Any] = {"steps": steps}
    for role in FLAGS.command_peers:
        began = time.perf_counter()
        done = child(role, 64, cores, steps, FLAGS.command_limit * mine)
        peer = time.perf_counter() - began
        results[role] = {
            "seconds": peer,
            "members": done["steps"] / steps,
            "ours": mine,
            "ratio": peer / mine,
        }
    return results


def speed(length: int, cores: list[int]) -> dict[str, Any]:
    """Steps per second of every role, and the ratio of ours to each."""
    turns: dict[str, list[dict[str, float]]] = {role: [] for role in ROLES}
    for _ in range(FLAGS.turns):
        for role in ROLES:
            turns[role].append(child(role, length, cores))
    middle = {
        role: statistics.median(turn["steps_per_second"] for turn in turns[role])
        for role in ROLES
    }
    over = {role: middle["ours"] / middle[role] for role in ROLES if role != "ours"}
    print(length, json.dumps(over), middle, flush=True)
    return {
        "steps_per_second_per_core": middle,
        "ours_over": over,
        "turns": turns,
    }


def write(results: dict[str, Any], out: Path | None) -> None:
    """Writes the results so far."""
    from attn_research.host import environment

    results["environment"] = environment.facts()
    results["environment"]["torch"] = importlib.metadata.version("torch")
    if out:
        out.write_text(json.dumps(results, indent=1) + "\n")


def run() -> int:
    if FLAGS.role:
        os.sched_setaffinity(0, map(int, FLAGS.cores))
        print(json.dumps(measure(FLAGS.role, FLAGS.length, FLAGS.seconds)))
        return 0
    cores = sorted(os.sched_getaffinity(0))
    out = Path(FLAGS.out) if FLAGS.out else None
    results: dict[str, Any] = {"lengths": {}}
    if out and out.exists():
        results = json.loads(out.read_text())
    for length in PAIRS if FLAGS.turns else ():
        results["lengths"][str(length)] = speed(length, cores[:1])
        write(results, out)
    if FLAGS.command_steps:
        kept = results.setdefault("command_to_result", {})
        kept |= command_to_result(FLAGS.command_steps, cores)
        print(kept, flush=True)
        write(results, out)
    return 0


if __name__ == "__main__":
    main(run, sys.modules["__main__"].__doc__)
