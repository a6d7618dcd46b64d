"""What one sees of a sweep while it runs: a live table, or a line a minute.

On a terminal the cells that run are a table that is drawn over: how far each is, what
it has reached, what it does, when it will be done. Elsewhere one line a minute says the
same of all of them.
"""

import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from attn_research.host import heartbeat, layout
from attn_research.host.durable import Damaged
from attn_research.host.heartbeat import Beat
from attn_research.host.progress import duration, summary
from attn_research.launch.labels import short
from attn_research.options import BadInput
from attn_research.studies import store
from attn_research.studies.results import fields

MINUTE = 60.0  # seconds between lines, unless the environment has others
VARIABLE = "ATTN_RESEARCH_LINE_SECONDS"
BLINK = 0.5  # seconds between two drawings of the table
SHOWN = 20  # cells in the table
HEADER = ("cell", "members", "step", "phase", "left", "best / median / worst")


class Running(NamedTuple):
    """A cell that runs, since `began` on the clock of `time.monotonic`."""

    number: int
    id: str
    began: float


class View(NamedTuple):
    """A sweep at one moment: how many cells there are, and which of them run.

    `seconds` are those that the cells took that this sweep has finished.
    """

    total: int
    done: int
    failed: int
    waiting: int
    running: Sequence[Running]
    seconds: Sequence[float]


class Cell(NamedTuple):
    """What the table says of a cell that does not change: its axes and its size."""

    axes: tuple[str, ...]
    members: int
    steps: int


def between_lines() -> float:
    """Seconds between two lines: 60, or those of `VARIABLE` in the environment.

    Raises `BadInput` unless they are a positive, finite number.
    """
    given = os.environ.get(VARIABLE)
    if given is None:
        return MINUTE
    try:
        seconds = float(given)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise BadInput(
            f"{VARIABLE} is {given!r}; it must be a positive number of seconds"
        )
    return seconds


class Watch:
    """Shows the cells of the study in `directory`, as a context manager.

    `axes` are the fields that differ between the cells. What the sweep reports goes
    through `report`, so that it stands above the table. Raises `BadInput` if the
    environment gives no number of seconds between lines.
    """

    def __init__(
        self,
        directory: Path,
        axes: Sequence[str],
        report: Callable[[str], None],
        terminal: bool | None = None,
    ):
        self.directory, self.axes = directory, list(axes)
        self._report = report
        self.terminal = sys.stdout.isatty() if terminal is None else terminal
        self._period = BLINK if self.terminal else between_lines()
        self._known: dict[str, Cell] = {}
        self._beats: dict[str, Beat] = {}  # the last of each cell
        self._last = time.monotonic()
        self._live: Any = None

    def __enter__(self) -> "Watch":
        if self.terminal:
            from rich.live import Live

            self._live = Live(auto_refresh=False, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def report(self, sentence: str) -> None:
        """Shows a sentence that stays."""
        if self._live is not None:
            self._live.console.print(sentence, markup=False, highlight=False)
        else:
            self._report(sentence)

    def look(self, view: View) -> None:
        """Shows how far the sweep is, if it is time to."""
        now = time.monotonic()
        if now - self._last < self._period:
            return
        self._last = now
        beats = [self._beat(cell.id) for cell in view.running]
        if self._live is None:
            self.report(line(view, beats, now, self._names(view)))
        else:
            self._live.update(self._table(view, beats, now), refresh=True)

    def _beat(self, id: str) -> Beat | None:
        """How far a cell is: at its end, once it has deleted its news."""
        place = store.place(self.directory, id)
        beat, last = heartbeat.read(place), self._beats.get(id)
        if beat is None and last is not None:
            beat = last
            if last.phase != "ending" and not (place / layout.PROGRESS).exists():
                beat = last._replace(phase="ending", since=time.time(), left=0.0)
        if beat is not None:
            self._beats[id] = beat
        return beat

    def _names(self, view: View) -> list[str]:
        return [" ".join(filter(None, self._cell(c.id).axes)) for c in view.running]

    def _cell(self, id: str) -> Cell:
        """What is known of a cell from its config, read once."""
        if id not in self._known:
            try:
                run = store.read_cell(self.directory, id)
            except (Damaged, OSError):  # said by whoever runs it
                return Cell(("",) * len(self.axes), 0, 0)
            values = fields(run)
            axes = tuple(short(name, values.get(name)) for name in self.axes)
            self._known[id] = Cell(axes, run.population.size, run.config.train.steps)
        return self._known[id]

    def _table(self, view: View, beats: Sequence[Beat | None], now: float) -> Any:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        first, *rest = HEADER
        lines = [[first, *(name.split(".", 1)[-1] for name in self.axes), *rest]]
        shown = list(zip(view.running, beats, strict=True))[:SHOWN]
        for running, beat in shown:
            cell = self._cell(running.id)
            texts = [f"{running.number}", *cell.axes, str(cell.members)]
            lines.append([*texts, *row(beat, running, cell.steps, now)])
        table = Table(box=None, header_style="bold", pad_edge=False)
        for index, (name, *texts) in enumerate(zip(*lines, strict=True)):
            # If room is short, the text of an axis is wrapped, never a number.
            axis = 0 < index <= len(self.axes)
            table.add_column(
                Text(name),
                justify="left" if axis else "right",
                min_width=None if axis else max(map(len, [name, *texts])),
                no_wrap=not axis,
            )
        for texts in lines[1:]:
            table.add_row(*map(Text, texts), style="cyan")
        parts: list[Any] = [table] if shown else []
        if (more := len(view.running) - len(shown)) > 0:
            parts.append(Text(f"and {more} more", style="dim"))
        return Group(*parts, Text(counts(view, beats), style="bold"))


def row(
    beat: Beat | None, running: Running, steps: int, now: float
) -> tuple[str, str, str, str]:
    """Step, phase, time left and scores of a running cell, as texts."""
    if beat is None:
        lasts = duration(now - running.began)
        return f"0/{steps}", f"starting {lasts}", "", ""
    phase = beat.phase
    if phase != "training":
        phase = f"{phase} {duration(max(0.0, time.time() - beat.since))}"
    left = "" if beat.left is None else duration(beat.left)
    scores = f"{beat.metric} {summary(beat.scores)}" if beat.metric else ""
    return f"{beat.step}/{beat.steps}", phase, left, scores


def counts(view: View, beats: Sequence[Beat | None]) -> str:
    """How many cells there are of each kind, and when all will be done."""
    numbers = {"failed": view.failed, "waiting": view.waiting}
    told = [f"{view.done} of {view.total} cells done", f"{len(view.running)} running"]
    told += [f"{number} {name}" for name, number in numbers.items() if number]
    left = _remaining(view, beats)
    if left is not None:
        told.append(f"about {duration(left)} left")
    return ", ".join(told)


def _remaining(view: View, beats: Sequence[Beat | None]) -> float | None:
    now, lasting = time.monotonic(), [*view.seconds]
    lefts = [None if beat is None else beat.left for beat in beats]
    for cell, left in zip(view.running, lefts, strict=True):
        lasting += [] if left is None else [now - cell.began + left]
    return remaining(lefts, lasting, view.waiting)


def remaining(
    lefts: Sequence[float | None], lasting: Sequence[float], waiting: int
) -> float | None:
    """Seconds until a sweep is done, None if no cell is far enough to tell.

    `lefts` are those of the cells that run. A cell that waits, or that cannot tell yet,
    is taken for the mean of `lasting`, of cells that ended or know how long they take.
    """
    if not lasting:
        return None
    mean = math.fsum(lasting) / len(lasting)
    known = [mean if left is None else left for left in lefts]
    slots = max(1, len(lefts))
    return max([(math.fsum(known) + waiting * mean) / slots, *known])


def line(
    view: View, beats: Sequence[Beat | None], now: float, names: Sequence[str]
) -> str:
    """The whole sweep in one line, with the first cells that run."""
    told = []
    for running, beat, name in list(zip(view.running, beats, names, strict=True))[:4]:
        step, phase, left, scores = row(beat, running, beat.steps if beat else 0, now)
        at = f"step {step}" if beat and beat.phase == "training" else phase
        words = [f"[{running.number}] {name}".rstrip(), at, scores]
        words += [f"{left} left"] if left and at != phase else []
        told.append(" ".join(filter(None, words)))
    return "; ".join([counts(view, beats), *told])
