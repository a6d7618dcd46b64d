"""A member of a run to look at, and what is to be said of the run beside it."""

import os
from pathlib import Path
from typing import Literal, NamedTuple

from attn_research import environment, layout, lock
from attn_research.checkpoint import Restored, describe, load, read
from attn_research.checkpoint.reader import newest_good, steps
from attn_research.durable import Damaged


class Member(NamedTuple):
    """A restored member, the digest of the parameters of its run, and its notes.

    A note is a sentence: on a run that is not finished, on a checkpoint that was passed
    over, on code that was another.
    """

    restored: Restored
    number: int
    digest: str
    notes: list[str]


def member(
    path: str | os.PathLike[str],
    which: Literal["best"] | int = "best",
    step: int | None = None,
) -> Member:
    """A member of a run at `step`, or at the newest step that can be verified."""
    path, notes = Path(path), []
    try:
        restored = load(path, which, step)
    except Damaged:
        checkpoints = path / layout.CHECKPOINTS
        good = newest_good(checkpoints) if step is None else None
        if good is None:
            raise
        newest = steps(checkpoints)[-1]
        notes.append(f"Step {newest} is damaged; step {good} is looked at.")
        restored = load(path, which, good)
    found = describe(path, which, restored.step)
    notes += [*_unfinished(path, restored), *_code(path, restored.step)]
    return Member(restored, found.member, found.digest, notes)


def _unfinished(path: Path, restored: Restored) -> list[str]:
    """What is said of a run that is being trained, or that was stopped."""
    if (path / layout.RESULT).exists():
        return []
    total = restored.config.train.steps
    writer = lock.owner(path / layout.CHECKPOINTS)
    if writer:
        return [
            f"The run is being trained by process {writer.get('pid', 'unknown')}; its "
            f"newest checkpoint is of step {restored.step} of {total}."
        ]
    return [f"The run is not finished: it is at step {restored.step} of {total}."]


def _code(path: Path, step: int) -> list[str]:
    """What is said where the run was trained by other code, or nobody knows by which.

    A model is rebuilt by the code that is here.
    """
    facts = read(path / layout.CHECKPOINTS, [], step=step)[2]
    then, now = facts.get("environment") or {}, environment.code()
    if "code" not in then:
        return ["It is unknown which version of the code has trained the run."]
    if then["code"] == now["code"]:
        return []
    was = then.get("commit", "none")
    named = f"commit {was[:12]}" if was != "none" else f"digest {then['code']}"
    return [f"The run was trained by another version of the code ({named})."]
