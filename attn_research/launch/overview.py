"""What a terminal shows of a sweep: what it would cost, and how far it is."""

import json
import math
from collections.abc import Sequence
from typing import Any

from attn_research import layout
from attn_research.config import flatten, to_dict
from attn_research.results import varying
from attn_research.store import Row
from attn_research.study import Cell

STYLES = {
    "done": "green",
    "running": "cyan",
    "failed": "red",
    "damaged": "red",
    "stopped": "yellow",
    "waiting": "dim",
}


def preview(cells: Sequence[Cell]) -> None:
    """Prints every cell with its members and cost, and the first config in full."""
    from attn_research import program

    flat = [flatten(cell.config) for cell in cells]
    names = varying(flat)
    header = ["cell", *names, "members", "parameters", "FLOPs"]
    lines, total = [], 0.0
    for cell, fields in zip(cells, flat, strict=True):
        cost, train = program.cost(cell.config), cell.config.train
        members = layout.members(cell.population)
        # A backward pass costs two forward ones.
        flops = 3.0 * cost.flops * train.batch * train.steps * members
        total += flops
        varied = [_short(name, fields.get(name)) for name in names]
        lines.append(
            [cell.id, *varied, str(members), f"{cost.params:,}", f"{flops:.2g}"]
        )
    _table(header, lines, right=3)
    print(f"{len(cells)} cells, {total:.2g} FLOPs of training in all.")
    if cells:
        print("The first cell:")
        first = {
            name: to_dict(getattr(cells[0], name)) for name in layout.Run._fields[:2]
        }
        print(json.dumps(first, indent=1))


def show(rows: Sequence[Row]) -> None:
    """Prints the state of every cell."""
    names = list(dict.fromkeys(name for row in rows for name in row.varies))
    metric = next((row.metric for row in rows if row.metric), "metric")
    header = ["cell", "state", *names, "members", "step", f"best {metric}", "seconds"]
    lines = [
        [
            row.id,
            row.state,
            *(_short(name, row.varies.get(name)) for name in names),
            str(row.members),
            str(row.step),
            "" if row.best is None else f"{row.best:.4g}",
            "" if row.seconds is None else f"{row.seconds:.0f}",
        ]
        for row in rows
    ]
    _table(header, lines, right=4, styles=[STYLES[row.state] for row in rows])
    for row in rows:
        if row.message and row.state in ("failed", "damaged"):
            print(f"{row.id} {row.state}: {row.message}")
    counts = {state: sum(row.state == state for row in rows) for state in STYLES}
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    spent = math.fsum(row.seconds or 0.0 for row in rows)
    print(f"{len(rows)} cells: {told or 'none'}; {spent:.0f} s of finished runs.")


def _short(name: str, value: Any) -> str:
    if name == "model.pattern":
        from attn_research.modules.pattern import brief

        value = brief(value)
    text = "" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _table(
    header: list[str],
    lines: list[list[str]],
    right: int,
    styles: Sequence[str] | None = None,
) -> None:
    """Prints a table, the last `right` columns aligned to the right."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for index, name in enumerate(header):
        last = index >= len(header) - right
        table.add_column(Text(name), justify="right" if last else "left")
    for index, line in enumerate(lines):
        table.add_row(*map(Text, line), style=styles[index] if styles else "")
    console = Console()
    if not console.is_terminal:  # a file or a pipe has no width to keep to
        console = Console(width=400)
    console.print(table)
