"""The cost of making the batches of each task, compared with training on them.

    python benchmarks/tasks.py --out=benchmarks/results/tasks_cpu.json
    python benchmarks/tasks.py --only=recall,ngram --seconds=0.1

Batches of 64 of every generated task at its defaults are compared with a step (forward,
backward, update, and the batch itself) of a small model: 2 layers of dense attention of
width 64, without MLP. Wall time on one core and one device, the median of the repeats.
A batch should take less than a tenth of the step; tasks that exceed it are printed with
their reason in `REASONS`. Tasks that are not measured again keep their entries in an
existing file.
"""

import dataclasses
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from absl import flags

from attn_research.config import Config, Model, Population, Train
from attn_research.flags import FLAGS, main

# Options of the tasks that read data rather than generate it.
READ = {"data", "path"}
BATCH, MOST = 64, 0.1
REASONS: dict[str, str] = {}

flags.DEFINE_string("out", None, "JSON file to write.")
flags.DEFINE_list("only", None, "Tasks or specs to measure; by default all generated.")
flags.DEFINE_float("seconds", 2.0, "Seconds to measure each batch and each step.")


def median(call: Callable[[], Any]) -> float:
    """Seconds of a call after a warm-up, the median of at least three."""
    call()
    times: list[float] = []
    while len(times) < 3 or sum(times) < FLAGS.seconds:
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def batch_seconds(task: Any, arrays: Any) -> float:
    """The time to make one batch, in a dispatch of its own."""
    import jax

    @jax.jit
    def make(seed):
        return task.batch(jax.random.key(seed), "train", BATCH, arrays)

    return median(lambda: jax.block_until_ready(make(0)))


def step_seconds(spec: str, arrays: Any) -> float:
    """The time of one training step, batch included, in a dispatch of its own."""
    import jax
    import numpy as np

    from attn_research import hypers
    from attn_research.training import placed, population, program

    config = Config(
        task=spec,
        model=Model(pattern="dense", layers=2, width=64),
        train=Train(steps=10**6, batch=BATCH, eval_batches=1, test_batches=1),
    )
    made = placed.prepare(program.resolve(config), 1, arrays)
    members_P = placed.initial(made, hypers.grid(Population()), population.mesh())

    def step() -> None:
        nonlocal members_P
        members_P = made.advance(members_P, (arrays, np.int32(1)))
        jax.block_until_ready(members_P.step)

    return median(step)


def measure(spec: str) -> dict[str, Any]:
    """Both times of one task, and the ratio of the first to the second."""
    from attn_research import tasks
    from attn_research.training import population

    task = tasks.make(spec)
    arrays = population.place(task.arrays(), population.mesh(), shared=True)
    batch, step = batch_seconds(task, arrays), step_seconds(spec, arrays)
    return {
        "task": tasks.resolve(spec),
        "length": task.spec.length,
        "batch_seconds": batch,
        "step_seconds": step,
        "share": batch / step,
    }


def generated() -> list[str]:
    """The tasks that generate their batches."""
    from attn_research.tasks import TASKS

    return [
        name
        for name, task in TASKS.items()
        if not READ & {field.name for field in dataclasses.fields(task)}
    ]


def run() -> int:
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    # Before jax is imported: a device for this core alone.
    os.environ["NPROC"] = "1"
    from attn_research.host import environment

    path = Path(FLAGS.out) if FLAGS.out else None
    results: dict[str, Any] = {"batch": BATCH, "most": MOST, "tasks": {}}
    if path and path.exists():
        results = json.loads(path.read_text())
    for spec in FLAGS.only or generated():
        row = results["tasks"][spec] = measure(spec)
        if row["share"] > MOST:
            row["reason"] = REASONS.get(spec, "not known")
        print(
            f"{spec}: batch {row['batch_seconds'] * 1e3:.2f} ms, "
            f"step {row['step_seconds'] * 1e3:.2f} ms, {row['share']:.1%}",
            flush=True,
        )
        results["environment"] = environment.facts()
        if path:
            path.write_text(json.dumps(results, indent=1) + "\n")
    over = {n: r for n, r in results["tasks"].items() if r["share"] > MOST}
    print(f"above {MOST:.0%} of a step: {', '.join(over) or 'none'}")
    for spec, row in over.items():
        print(f"{spec}: {row['reason']}")
    return 0


if __name__ == "__main__":
    main(run, sys.modules["__main__"].__doc__)
