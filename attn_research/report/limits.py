"""What the page of a large study shows, and where the rest is.

A page of thousands of rows and panels can be neither loaded nor read. It has the first
of each, says so in a sentence, and links to a file that has them all.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from attn_research.host.durable import atomic_write
from attn_research.studies.results import safe

Lines = TypeVar("Lines", bound=Mapping[str, Any])  # the lines of a panel by label

ROWS = 200  # of one table
PANELS, LINES = 8, 24  # of one figure
SAMPLES = 24  # cells whose samples are shown
NAMES = 12  # cells that one sentence names


class Shown(NamedTuple):
    """The rows of a table that a page shows, and a file with all of them if it is cut.

    `total` is the number of all rows.
    """

    rows: Sequence[Mapping[str, Any]]
    total: int
    file: str = ""


def table(folder: Path, name: str, rows: Sequence[Mapping[str, Any]]) -> Shown:
    """The first rows of a table; a long one is written to NAME.csv."""
    if len(rows) <= ROWS:
        return Shown(rows, len(rows))
    atomic_write(folder / f"{name}.csv", as_csv(rows))
    return Shown(rows[:ROWS], len(rows), f"{name}.csv")


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV that no spreadsheet reads as formulas."""
    text = io.StringIO()
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: safe(v) for k, v in row.items()} for row in rows)
    return text.getvalue()


def first(count: int, total: int, what: str) -> str:
    """` Shown are the first 8 of 250 panels.`, empty if all are."""
    if total <= count:
        return ""
    return f" Shown are the first {count:,} of {total:,} {what}."


def panels(every: dict[str, Lines]) -> tuple[dict[str, Lines], list[str], str]:
    """The panels that are drawn, the labels of their lines, and a sentence if cut."""
    shown = dict(list(every.items())[:PANELS])
    known = list(dict.fromkeys(label for lines in shown.values() for label in lines))
    labels = known[:LINES]
    cut = first(PANELS, len(every), "panels") + first(LINES, len(known), "lines")
    if not cut:
        return shown, labels, ""
    kept: dict[str, Any] = {
        key: {label: lines[label] for label in labels if label in lines}
        for key, lines in shown.items()
    }
    return kept, labels, f"{cut} The numbers have all."


def named(names: Sequence[str]) -> str:
    """The names, the first of many."""
    more = len(names) - NAMES
    tail = f"; and {more:,} more" if more > 0 else ""
    return "; ".join(names[:NAMES]) + tail
