"""Training a population: ours, our own naive form, and PyTorch, in one run.

    python benchmarks/population.py --out=benchmarks/results/population_cpu.json
    python benchmarks/population.py --turns=0 --command_steps=500 --out=...

The 2-layer attention model of width 64 on published recall (vocabulary 8192, batch 64,
dropout 0.1 on the embedding), 16 members: 4 learning rates x 4 seeds. Every role runs
alone, in a process of its own, on one core, in turns; the figure is model steps per
second per core, the median of the turns. With --command_steps the time from command to
result is measured too, on all cores; an existing file keeps what is not measured anew.
The roles:

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

# PyTorch allocates anew in every step, and glibc gives large blocks back to the system
# each time: with these settings it keeps them, and PyTorch runs up to 1.8x faster.
KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(2**33),
    "MALLOC_TRIM_THRESHOLD_": str(2**34),
}

flags.DEFINE_string("out", None, "File that the JSON is written to.")
flags.DEFINE_string("role", None, "Measures one role in this process (internal).")
flags.DEFINE_integer("length", 64, "Length of that role (internal).")
flags.DEFINE_list("cores", None, "Cores of that role (internal).")
flags.DEFINE_float("seconds", 20.0, "Time measured of each role and turn.")
flags.DEFINE_integer("turns", 3, "Turns of every role; 0 leaves the speed out.")
flags.DEFINE_integer(
    "command_steps", 0, "Also times command to result at this many steps on all cores."
)
flags.DEFINE_list("command_peers", ["torch_labelled", "torch"], "Timed beside it.")
flags.DEFINE_float(
    "command_limit", 2.0, "A peer that takes this many times our time is stopped."
)
flags.DEFINE_float("patience", float("inf"), "Seconds that role may take (internal).")


def measure(role: str, length: int, seconds: float) -> dict[str, float]:
    """One role in this process."""
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
    """One role in a process of its own, on the given cores."""
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

    A peer over the limit is stopped: its `ratio` is then a lower bound, and `members`
    tells how many of its sixteen were done.
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
    found: dict[str, Any] = {"steps": steps}
    for role in FLAGS.command_peers:
        began = time.perf_counter()
        done = child(role, 64, cores, steps, FLAGS.command_limit * mine)
        peer = time.perf_counter() - began
        found[role] = {
            "seconds": peer,
            "members": done["steps"] / steps,
            "ours": mine,
            "ratio": peer / mine,
        }
    return found


def speed(length: int, cores: list[int]) -> dict[str, Any]:
    """Steps per second of every role, and ours over each."""
    turns: dict[str, list[dict[str, float]]] = {role: [] for role in ROLES}
    for _ in range(FLAGS.turns):
        for role in ROLES:
            turns[role].append(child(role, length, cores))
    middle = {
        role: statistics.median(one["steps_per_second"] for one in turns[role])
        for role in ROLES
    }
    over = {role: middle["ours"] / middle[role] for role in ROLES if role != "ours"}
    print(length, json.dumps(over), middle, flush=True)
    return {
        "steps_per_second_per_core": middle,
        "ours_over": over,
        "turns": turns,
    }


def write(found: dict[str, Any], out: Path | None) -> None:
    """Keeps what is measured so far."""
    from attn_research import environment

    found["environment"] = environment.facts()
    found["environment"]["torch"] = importlib.metadata.version("torch")
    if out:
        out.write_text(json.dumps(found, indent=1) + "\n")


def run() -> int:
    if FLAGS.role:
        os.sched_setaffinity(0, map(int, FLAGS.cores))
        print(json.dumps(measure(FLAGS.role, FLAGS.length, FLAGS.seconds)))
        return 0
    cores = sorted(os.sched_getaffinity(0))
    out = Path(FLAGS.out) if FLAGS.out else None
    found: dict[str, Any] = {"lengths": {}}
    if out and out.exists():
        found = json.loads(out.read_text())
    for length in PAIRS if FLAGS.turns else ():
        found["lengths"][str(length)] = speed(length, cores[:1])
        write(found, out)
    if FLAGS.command_steps:
        kept = found.setdefault("command_to_result", {})
        kept |= command_to_result(FLAGS.command_steps, cores)
        print(kept, flush=True)
        write(found, out)
    return 0


if __name__ == "__main__":
    main(run, sys.modules["__main__"].__doc__)
