"""Trials: kill -9 at random moments of saving and deleting checkpoints."""

from pathlib import Path
from typing import Any

import jax  # noqa: F401  imported before the fork, so that a trial is short
import orbax.checkpoint  # noqa: F401

from tests.faults.trial import delays, fork, judge, kill_after, main, resume_and_save


def trials(directory: str, count: int, seed: int) -> dict[str, Any]:
    path, problems = Path(directory), []
    acknowledged = landed = inside = 0
    for trial, delay in zip(range(count), delays(seed, 0.3), strict=False):
        child = fork(lambda tell: resume_and_save(path, tell))
        judge(child.next(), acknowledged, problems, trial)
        for _ in range(trial % 3):  # a slow machine gets as far as a fast one
            acknowledged = child.next()["acknowledged"]
        kill_after(child, delay)
        code, told = child.end()
        landed += code == -9
        inside += any(path.glob(".*.tmp")) or (path / "_trash").exists()
        acknowledged = max([acknowledged, *(t["acknowledged"] for t in told)])
    return {
        "landed": landed,
        "inside": inside,
        "acknowledged": acknowledged,
        "problems": problems,
    }


if __name__ == "__main__":
    main(trials)
