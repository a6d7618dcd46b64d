"""Do our mixers learn small tasks as published implementations do?

    python benchmarks/learning.py --out=benchmarks/results/learning_cpu.json
    python benchmarks/learning.py --only=lstm --tasks=recall --steps=50 --seeds=0,1

A model of ours and one in PyTorch differ in their mixers alone: tables, projections and
heads start with the same values, and each step of both sees the same batch of our task,
the same rate and the same clipping (Adam, warm-up and cosine, no decay). Mixers start
as their own implementation starts them. Reported are the loss and the score of the
trained models on the same test batches: for each seed, and the mean difference, ours
minus the peer's, with Student's interval over seeds. `hyena`, which no peer here has,
is trained alone on a recall that it can solve.

One core and one thread. Pairs that are not trained again keep their entries in an
existing file. Without PyTorch or transformers nothing is compared.
"""

import json
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from absl import flags
from learners import Setting, ours, row

from attn_research.flags import FLAGS, main

TASKS = {
    "recall": "recall(length=16,pairs=2,vocabulary=16)",
    "adding": "adding(length=16)",
    "copying": "copying(lag=8,count=4,symbols=4)",
    "flip_flop": "flip_flop(length=16,test_length=16)",
}
# Ours and the peer; positions of the model, the same in both.
PAIRS = {
    "lstm": ("lstm", "torch.nn.LSTM", "none"),
    "gru": ("gru", "torch.nn.GRU", "none"),
    "dense": ("dense(heads=4)", "torch.nn.MultiheadAttention", "sinusoid"),
    "mamba": ("mamba", "transformers MambaMixer", "none"),
}
ALONE = TASKS["recall"]
SCORES = {"token": "accuracy", "value": "mae"}

flags.DEFINE_string("out", None, "JSON file to write.")
flags.DEFINE_list("only", [*PAIRS, "hyena"], "Mixers to train.")
flags.DEFINE_list("tasks", list(TASKS), "Tasks to train on.")
flags.DEFINE_list("seeds", ["0", "1", "2"], "Seeds of the pairs.")
flags.DEFINE_list("alone_seeds", ["0", "1", "2", "3", "4"], "Seeds of what is alone.")
flags.DEFINE_integer("steps", 400, "Steps of the pairs.")
flags.DEFINE_integer("alone_steps", 1500, "Steps of what is trained alone.")


def pair(name: str, spec: str, seeds: Sequence[int]) -> dict[str, Any]:
    """A mixer and its peer on a task."""
    import torch_learners

    from attn_research import tasks

    pattern, _, positions = PAIRS[name]
    setting = Setting(spec, pattern, positions, FLAGS.steps)
    sides = {
        "ours": {seed: ours(setting, seed) for seed in seeds},
        "peer": {seed: torch_learners.theirs(setting, name, seed) for seed in seeds},
    }
    return row(setting, SCORES[tasks.make(spec).spec.target], sides)


def alone(seeds: Sequence[int]) -> dict[str, Any]:
    """Hyena on a recall that it can solve."""
    setting = Setting(ALONE, "hyena", "none", FLAGS.alone_steps, width=64)
    sides = {"ours": {seed: ours(setting, seed) for seed in seeds}}
    return row(setting, "accuracy", sides)


def commit() -> str:
    """The code that trained an entry; other entries of the file may be older."""
    from attn_research.host import environment

    return environment.facts()["commit"]


def write(path: Path | None, results: dict[str, Any]) -> None:
    """Writes the results, with the environment and the versions of the peers."""
    from attn_research.host import environment

    peers = {name: version(name) for name in ("torch", "transformers")}
    results["environment"] = {**environment.facts(), "peers": peers}
    if path:
        path.write_text(json.dumps(results, indent=1) + "\n")


def run() -> int:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    # Before jax is imported: a device for this core alone.
    os.environ["NPROC"] = "1"
    path = Path(FLAGS.out) if FLAGS.out else None
    results: dict[str, Any] = {"pairs": {}, "alone": {}}
    if path and path.exists():
        results = json.loads(path.read_text())
    seeds = [int(seed) for seed in FLAGS.seeds]
    for name in FLAGS.only:
        if name == "hyena":
            entry = alone([int(seed) for seed in FLAGS.alone_seeds])
            results["alone"][name] = entry
            scores = [f"{one['accuracy']:.3f}" for one in entry["ours"].values()]
            print(f"{name} on {ALONE}: {', '.join(scores)}", flush=True)
            write(path, results)
        for task in FLAGS.tasks if name in PAIRS else ():
            entry = {**pair(name, TASKS[task], seeds), "commit": commit()}
            results["pairs"].setdefault(name, {"peer": PAIRS[name][1]})[task] = entry
            for measure, found in entry["difference"].items():
                print(
                    f"{name} on {task}: {measure} differs by {found['mean']:.4f} "
                    f"({found['low']:.4f} to {found['high']:.4f})",
                    flush=True,
                )
            write(path, results)
    return 0


if __name__ == "__main__":
    main(run, sys.modules["__main__"].__doc__)
