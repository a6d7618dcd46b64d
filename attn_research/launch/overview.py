"""What a terminal shows of a sweep: its predicted cost and its progress."""

import json
import math
import os
import sys
from collections.abc import Mapping, Sequence

from attn_research.config import flatten, to_dict
from attn_research.host import heartbeat, layout
from attn_research.host.progress import duration
from attn_research.launch.labels import short
from attn_research.launch.watch import remaining
from attn_research.studies.results import varying
from attn_research.studies.store import CellState, place
from attn_research.studies.study import Cell

LONG = 200  # rows
STYLES = {
    "done": "green",
    "running": "cyan",
    "failed": "red",
    "damaged": "red",
    "unreadable": "red",
    "stopped": "yellow",
    "waiting": "dim",
}


def preview(cells: Sequence[Cell]) -> None:
    """Prints every cell with its members and cost, and the first config in full."""
    from attn_research.training import program

    flat = [flatten(cell.config) for cell in cells]
    names = varying(flat)
    header = ["cell", *names, "members", "parameters", "FLOPs"]
    lines, total = [], 0.0
    for cell, fields in zip(cells, flat, strict=True):
        cost, train = program.cost(cell.config), cell.config.train
        members = cell.population.size
        # A backward pass costs two forward ones.
        flops = 3.0 * cost.flops * train.batch * train.steps * members
        total += flops
        varied = [short(name, fields.get(name)) for name in names]
        lines.append(
            [cell.id, *varied, str(members), f"{cost.params:,}", f"{flops:.2g}"]
        )
    table(header, lines, right=3)
    print(f"{len(cells)} cells, {total:.2g} FLOPs of training in all.")
    if cells:
        print("The first cell:")
        first = {
            name: to_dict(getattr(cells[0], name)) for name in layout.Run._fields[:2]
        }
        print(json.dumps(first, indent=1))


def show(
    cells: Sequence[CellState],
    directory: str | os.PathLike[str],
    queue: Mapping[str, str] | None = None,
) -> None:
    """Prints the state of every cell of the study in a directory.

    Of one that runs, also how far it is beyond its checkpoint, and what it does; with
    `queue`, what a cluster says of each cell.
    """
    names = list(dict.fromkeys(name for cell in cells for name in cell.varies))
    metric = next((cell.metric for cell in cells if cell.metric), "metric")
    running = [cell.id for cell in cells if cell.state == "running"]
    beats = {id: heartbeat.read(place(directory, id)) for id in running}
    news = {id: beat for id, beat in beats.items() if beat is not None}
    metric = next((beat.metric for beat in news.values() if beat.metric), metric)
    header = ["cell", "state", *(["queue"] if queue else []), *names, "members"]
    header += ["step", "saved"] if news else ["step"]
    header += [f"best {metric}", "seconds"]
    header += ["phase", "steps/s", "left"] if news else []
    lines = []
    for cell in cells:
        varied = [short(name, cell.varies.get(name)) for name in names]
        queued = [queue.get(cell.id, "")] if queue else []
        lines.append([cell.id, cell.state, *queued, *varied, str(cell.members)])
        lines[-1] += _far(cell, news.get(cell.id), bool(news))
    right = len(header) - 2 - len(names) - bool(queue)
    table(header, lines, right=right, styles=[STYLES[c.state] for c in cells])
    for cell in cells:
        if cell.message and cell.state in ("failed", "damaged", "unreadable"):
            print(f"{cell.id} {cell.state}: {cell.message}")
    counts = {state: sum(cell.state == state for cell in cells) for state in STYLES}
    summary = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    lasting = [cell.seconds for cell in cells if cell.seconds is not None]
    said = f"{math.fsum(lasting):.0f} s of finished runs"
    lefts = [beat.left for beat in news.values()]
    waiting = sum(cell.state in ("waiting", "stopped") for cell in cells)
    if news and (left := remaining(lefts, lasting, waiting)) is not None:
        said += f", about {duration(left)} left"
    print(f"{len(cells)} cells: {summary or 'none'}; {said}.")


def _far(cell: CellState, beat: heartbeat.Beat | None, news: bool) -> list[str]:
    """How far a cell is; with `news`, those of cells that run have their columns."""
    best = cell.best if beat is None or not beat.scores else beat.scores[0]
    numbers = [
        "" if best is None else f"{best:.4g}",
        "" if cell.seconds is None else f"{cell.seconds:.0f}",
    ]
    if not news:
        return [str(cell.step), *numbers]
    if beat is None:
        return [str(cell.step), str(cell.step), *numbers, "", "", ""]
    left = "" if beat.left is None else duration(beat.left)
    rate = f"{(beat.steps - beat.step) / beat.left:.3g}" if beat.left else ""
    at = f"{beat.step}/{beat.steps}"
    return [at, str(cell.step), *numbers, beat.phase, rate, left]


def table(
    header: list[str],
    lines: list[list[str]],
    right: int,
    styles: Sequence[str] | None = None,
) -> None:
    """Prints columns of texts, the last `right` columns aligned to the right.

    On a terminal in colour, unless it is long: then the layout alone takes seconds.
    """
    if not sys.stdout.isatty() or len(lines) > LONG:
        print(_plain([header, *lines], right))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for index, name in enumerate(header):
        last = index >= len(header) - right
        table.add_column(Text(name), justify="right" if last else "left")
    for index, line in enumerate(lines):
        table.add_row(*map(Text, line), style=styles[index] if styles else "")
    Console().print(table)


def _plain(lines: list[list[str]], right: int) -> str:
    """The lines in columns as wide as their longest entry."""
    first = len(lines[0]) - right
    wide = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            text.ljust(size) if index < first else text.rjust(size)
            for index, (text, size) in enumerate(zip(line, wide, strict=True))
        ).rstrip()
        for line in lines
    )
