"""A member of a run for analysis, and notes on the run."""

import os
from pathlib import Path
from typing import Literal, NamedTuple

from attn_research.checkpoint import Restored, describe, load, read
from attn_research.checkpoint.reader import newest_good, steps
from attn_research.host import environment, layout, lock
from attn_research.host.durable import Damaged


class Member(NamedTuple):
    """A restored member, the digest of the parameters of its run, and its notes.

    A note is a sentence: on an unfinished run, on a damaged checkpoint that is skipped,
    or on a run trained by other code.
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
        notes.append(f"Step {newest} is damaged; step {good} is analysed.")
        restored = load(path, which, good)
    description = describe(path, which, restored.step)
    notes += [*_unfinished(path, restored), *_code(path, restored.step)]
    return Member(restored, description.member, description.digest, notes)


def _unfinished(path: Path, restored: Restored) -> list[str]:
    """A note on a run that is being trained, or was stopped."""
    if (path / layout.RESULT).exists():
        return []
    total = restored.config.train.steps
    writer = lock.owner(path / layout.CHECKPOINTS)
    if writer:
        return [
            f"Process {writer.get('pid', 'unknown')} is training the run; its newest "
            f"checkpoint is of step {restored.step} of {total}."
        ]
    return [f"The run is not finished: it is at step {restored.step} of {total}."]


def _code(path: Path, step: int) -> list[str]:
    """A note if other code trained the run, or if that is unknown.

    The code that is installed rebuilds the model.
    """
    facts = read(path / layout.CHECKPOINTS, [], step=step)[2]
    then, now = facts.get("environment") or {}, environment.code()
    if "code" not in then:
        return ["The run does not record which version of the code trained it."]
    if then["code"] == now["code"]:
        return []
    commit = then.get("commit", "none")
    name = f"commit {commit[:12]}" if commit != "none" else f"digest {then['code']}"
    return [f"Another version of the code trained the run ({name})."]
