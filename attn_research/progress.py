"""What a person sees of a run: a bar on a terminal, a line per evaluation elsewhere."""

import math
import sys
import time
from collections.abc import Sequence
from typing import Any


def summary(values: Sequence[float], goal: str) -> str:
    """`best / median / worst` of a population, numbers that are finite."""
    finite = sorted(v for v in values if math.isfinite(v))
    if not finite:
        return "none finite"
    if goal == "max":
        finite.reverse()
    middle = finite[len(finite) // 2]
    return f"{finite[0]:.4g} / {middle:.4g} / {finite[-1]:.4g}"


class Progress:
    """The display of one run over `steps` steps, as a context manager."""

    def __init__(self, name: str, steps: int, start: int, metric: str, goal: str):
        self.name, self.steps, self.metric, self.goal = name, steps, metric, goal
        self.first, self.began = start, time.monotonic()
        self._bar: Any = None
        self._row: Any = None

    def __enter__(self) -> "Progress":
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
        """The run has reached `step`."""
        if self._bar is not None:
            self._bar.update(self._row, completed=step)

    def evaluated(self, step: int, values: Sequence[float], statuses: str) -> None:
        """One number per member at an evaluation, and what the members are doing."""
        seconds = max(time.monotonic() - self.began, 1e-9)
        rate = (step - self.first) / seconds
        left = (self.steps - step) / rate if rate else math.inf
        figures = f"{self.metric} {summary(values, self.goal)}"
        if self._bar is not None:
            note = f"{rate:.3g} steps/s  {figures}  {statuses}"
            self._bar.update(self._row, completed=step, note=note)
            return
        clock = f"{left:.0f} s left" if math.isfinite(left) else "time left unknown"
        print(
            f"{self.name}  step {step}/{self.steps}  {rate:.3g} steps/s  {clock}  "
            f"{figures} (best / median / worst)  {statuses}",
            flush=True,
        )

    def note(self, sentence: str) -> None:
        """One sentence beside the bar."""
        if self._bar is not None:
            self._bar.console.print(sentence)
        else:
            print(sentence, flush=True)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()


class Steps:
    """The display of so many named steps, one after another, as a context manager.

    A bar on a terminal, elsewhere a line for each.
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
        """A step begins; the bar names it."""
        self.began = time.monotonic()
        if self._bar is not None:
            self._bar.update(self._row, step=step)

    def end(self, step: str, note: str = "") -> None:
        """A step is done; `note` says how in a word, else it is the time it took."""
        self.done += 1
        note = note or f"{time.monotonic() - self.began:.1f} s"
        if self._bar is not None:
            self._bar.update(self._row, completed=self.done, step="")
        else:
            print(f"{self.name}  {self.done}/{self.steps}  {step}  {note}", flush=True)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
