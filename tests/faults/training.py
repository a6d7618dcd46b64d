"""Trials: kill -9 at random moments of training, again and again until it is done.

What was compiled once is loaded by every later child, so that a trial is short.
"""

import json
import os
import random
from pathlib import Path
from typing import Any

import jax

from attn_research import checkpoint, loop
from attn_research.config import Config, Population, edit
from attn_research.host import environment, layout
from attn_research.host.journal import read_journal
from attn_research.options.specs import split
from tests.faults.trial import Tell, fork, kill_after, main

TINY = {
    "task": "recall(length=16,pairs=2,vocabulary=16)",
    "model.width": 8,
    "train.batch": 4,
    "train.eval_every": 3,
    "train.eval_batches": 1,
    "train.test_batches": 1,
    "train.checkpoint_every": 3,
}
MEMBERS = Population(seed=(0, 1))
TIMES = {
    "seconds",
    "advance_seconds",
    "compile_seconds",
    "steps_per_second",
    "step_seconds",
    "cell",
    "peak_bytes",
}


def run(pattern: str, steps: int, directory: Path, tell: Tell) -> None:
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        cache = str(directory.parent / "compiled")
        jax.config.update("jax_compilation_cache_dir", cache)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    before = loop.Progress.step

    def watched(self: Any, step: int) -> None:
        before(self, step)
        tell(step)

    loop.Progress.step = watched
    layers = len(split(pattern))
    model = {"model.pattern": pattern, "model.layers": layers, "train.steps": steps}
    config = edit(Config(), {**TINY, **model})
    tell({"code": loop.run(config, MEMBERS, directory)})


def left(directory: Path) -> tuple[list[bytes], str, str]:
    """The bits of the last checkpoint, the curve, and the result without times.

    The latter two as text, in which a NaN equals itself.
    """
    items = ["params", "optimizer", "progress"]
    trees = checkpoint.read(directory / layout.CHECKPOINTS, items)[1]
    result = layout.read_result(directory) or {}
    kept = {name: value for name, value in result.items() if name not in TIMES}
    bits = [leaf.tobytes() for leaf in jax.tree.leaves(trees)]
    curve = read_journal(directory / layout.METRICS)
    return bits, json.dumps(curve), json.dumps(kept)


def same(whole: Path, parts: Path, tell: Tell) -> None:
    tell(left(whole) == left(parts))


def trials(
    directory: str, patterns: list[str], kills: int, seed: int
) -> dict[str, Any]:
    problems: list[str] = []
    landed, resumed = 0, []
    draw = random.Random(seed)
    # A trial advances by up to six dispatches and ends before a seventh, of 3 steps.
    steps = 3 * (7 * kills + 2)
    environment.code()  # one answer for all, though a file may change meanwhile
    for number, pattern in enumerate(patterns):
        whole, parts = (
            Path(directory, f"{kind}{number}") for kind in ("whole", "parts")
        )
        child = fork(lambda tell, p=pattern, d=whole: run(p, steps, d, tell))
        if child.end()[1][-1] != {"code": 0}:
            problems.append(f"{pattern}: the uninterrupted run failed")
            continue
        for _ in range(kills):
            child = fork(lambda tell, p=pattern, d=parts: run(p, steps, d, tell))
            resumed.append(child.next())
            for _ in range(draw.randint(2, 6)):  # dispatches, each to an evaluation
                child.pipe.readline()
            kill_after(child, draw.uniform(0.0, 0.1))
            landed += child.end()[0] == -9 and layout.read_result(parts) is None
        child = fork(lambda tell, p=pattern, d=parts: run(p, steps, d, tell))
        if child.end()[1][-1] != {"code": 0}:
            problems.append(f"{pattern}: the resumed run failed")
            continue
        # In a child too: reading starts threads, and no fork after them would work.
        child = fork(lambda tell, w=whole, p=parts: same(w, p, tell))
        if not child.next():
            problems.append(f"{pattern}: other bits, or another curve or result")
        child.end()
    return {"landed": landed, "resumed": resumed, "problems": problems}


if __name__ == "__main__":
    main(trials)
