"""How far a run is at this moment, for those who watch it: `progress.json`.

It is a hint, not a record. It is written over in place, without waiting for the disk,
whatever the disk says; nothing resumes from it; and a reader takes what is torn or
missing for no news. A run that ends deletes it.
"""

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, get_args

from attn_research.host.layout import PROGRESS, Phase

EVERY = 1.0  # seconds between writes within a phase


class Beat(NamedTuple):
    """How far a run is: `step` of `steps`, since `since` (Unix seconds) in `phase`.

    `left` are the seconds that training still takes, None before that is known.
    `scores` are the best, the median and the worst of the members in `metric` at the
    last evaluation, () before the first.
    """

    phase: Phase
    since: float
    step: int = 0
    steps: int = 0
    left: float | None = None
    metric: str = ""
    scores: tuple[float, ...] = ()


class Heartbeat:
    """Keeps the `progress.json` of a directory up to date, as a context manager."""

    def __init__(self, directory: str | os.PathLike[str], steps: int):
        self.path = Path(directory) / PROGRESS
        self.beat = Beat("preparing", time.time(), steps=steps)
        self._written = 0.0

    def __enter__(self) -> "Heartbeat":
        return self

    def phase(self, phase: Phase) -> None:
        """Tells that a phase begins."""
        self.beat = self.beat._replace(phase=phase, since=time.time())
        self._write()

    def tell(self, **news: Any) -> None:
        """Tells fields of `Beat`, at most once a second unless there are scores."""
        self.beat = self.beat._replace(**news)
        if "scores" in news or time.monotonic() - self._written >= EVERY:
            self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(json.dumps(self.beat._asdict()))

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self.path.unlink(missing_ok=True)


def read(directory: str | os.PathLike[str]) -> Beat | None:
    """The last news of the run in a directory, None if there is none to be read."""
    try:
        found = json.loads((Path(directory) / PROGRESS).read_bytes())
        beat = Beat(**found)
        left = None if beat.left is None else float(beat.left)
        scores = tuple(map(float, beat.scores))
        beat = Beat(
            beat.phase,
            float(beat.since),
            int(beat.step),
            int(beat.steps),
            left,
            str(beat.metric),
            scores,
        )
    except (OSError, ValueError, TypeError, OverflowError, RecursionError):
        return None
    return beat if beat.phase in get_args(Phase) else None
