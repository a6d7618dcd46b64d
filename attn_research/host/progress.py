"""Progress of a run: a bar on a terminal, a line per evaluation elsewhere."""

import math
import sys
import time
from collections.abc import Sequence
from typing import Any

from attn_research.host.heartbeat import Heartbeat


def spread(values: Sequence[float], goal: str) -> tuple[float, ...]:
    """Best, median and worst of the finite values of a population, () if none is."""
    finite = sorted(v for v in values if math.isfinite(v))
    if goal == "max":
        finite.reverse()
    return (finite[0], finite[len(finite) // 2], finite[-1]) if finite else ()


def summary(scores: Sequence[float]) -> str:
    """`best / median / worst` in words."""
    return " / ".join(f"{score:.4g}" for score in scores) or "none finite"


def duration(seconds: float) -> str:
    """Seconds in the unit that a person would use: 42 s, 3 min, 1.5 h."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5970 else f"{seconds / 3600:.1f} h"


class Progress:
    """The display of one run over `steps` steps, as a context manager.

    Steps per second are those of all `members` together, as in the result.
    """

    def __init__(
        self,
        name: str,
        steps: int,
        start: int,
        metric: str,
        goal: str,
        members: int = 1,
        beat: Heartbeat | None = None,
    ):
        self.name, self.steps, self.metric, self.goal = name, steps, metric, goal
        self.members, self.beat = members, beat
        self.first, self.began = start, time.monotonic()
        self._bar: Any = None
        self._row: Any = None

    def __enter__(self) -> "Progress":
        if self.beat is not None:
            self.beat.tell(step=self.first)
            self.beat.phase("training")
        if sys.stdout.isatty():
            from rich import progress

            self._bar = progress.Progress(
                progress.TextColumn("{task.description}"),
                progress.BarColumn(),
                progress.MofNCompleteColumn(),
                progress.TimeRemainingColumn(),
                progress.TextColumn("{task.fields[note]}"),
            )
            self._bar.start()
            self._row = self._bar.add_task(
                self.name, total=self.steps, completed=self.first, note=""
            )
        return self

    def step(self, step: int) -> None:
        """Shows that the run has reached `step`."""
        if self.beat is not None:
            self.beat.tell(step=step, left=self._pace(step)[1])
        if self._bar is not None:
            self._bar.update(self._row, completed=step)

    def _pace(self, step: int) -> tuple[float, float | None]:
        """Steps per second of each member since this process began; seconds left."""
        rate = (step - self.first) / max(time.monotonic() - self.began, 1e-9)
        return rate, (self.steps - step) / rate if rate else None

    def evaluated(self, step: int, values: Sequence[float], statuses: str) -> None:
        """Shows an evaluation: one number per member, and the statuses of all."""
        rate, left = self._pace(step)
        scores = spread(values, self.goal)
        if self.beat is not None:
            self.beat.tell(step=step, left=left, metric=self.metric, scores=scores)
        pace = f"{rate * self.members:.3g} steps/s"
        if self.members > 1:
            pace += f" of {self.members} members"
        figures = f"{self.metric} {summary(scores)}"
        if self._bar is not None:
            note = f"{pace}  {figures}  {statuses}"
            self._bar.update(self._row, completed=step, note=note)
            return
        clock = "time left unknown" if left is None else f"{duration(left)} left"
        print(
            f"{self.name}  step {step}/{self.steps}  {pace}  {clock}  "
            f"{figures} (best / median / worst)  {statuses}",
            flush=True,
        )

    def note(self, sentence: str) -> None:
        """Shows one sentence beside the bar."""
        if self._bar is not None:
            self._bar.console.print(sentence)
        else:
            print(sentence, flush=True)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()


class Steps:
    """The display of a number of named steps, one after another, as a context manager.

    It is a bar on a terminal, elsewhere a line for each step.
    """

    def __init__(self, name: str, steps: int):
        self.name, self.steps, self.done = name, steps, 0
        self.began = time.monotonic()
        self._bar: Any = None
        self._row: Any = None

    def __enter__(self) -> "Steps":
        if sys.stdout.isatty():
            from rich import progress

            self._bar = progress.Progress(
                progress.TextColumn("{task.description}"),
                progress.BarColumn(),
                progress.MofNCompleteColumn(),
                progress.TimeElapsedColumn(),
                progress.TextColumn("{task.fields[step]}"),
            )
            self._bar.start()
            self._row = self._bar.add_task(self.name, total=self.steps, step="")
        return self

    def begin(self, step: str) -> None:
        """Shows that a step begins."""
        self.began = time.monotonic()
        if self._bar is not None:
            self._bar.update(self._row, step=step)

    def end(self, step: str, note: str = "") -> None:
        """Shows that a step is done, with a note; by default the time it took."""
        self.done += 1
        note = note or f"{time.monotonic() - self.began:.1f} s"
        if self._bar is not None:
            self._bar.update(self._row, completed=self.done, step="")
        else:
            print(f"{self.name}  {self.done}/{self.steps}  {step}  {note}", flush=True)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
