"""The results and the learning curves of a study, as tables."""

import os
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from attn_research import hypers
from attn_research.door.finding import PATTERN, Found, runs, unread
from attn_research.host import layout
from attn_research.host.durable import Damaged, DiskError
from attn_research.host.journal import read_journal
from attn_research.studies.results import (
    COSTS,
    HYPERS,
    member_rows,
    varying,
)

FIRST = ("cell", "mixer")
COUNTS = ("member", "status", "step", "solved_step", "train_loss", "metric", "chance")


class Table(list[dict[str, Any]]):
    """The `rows`, all with the keys `columns`; `pandas.DataFrame(table)` is a frame."""

    def __init__(self, rows: Iterable[dict[str, Any]], columns: Iterable[str]):
        self.columns = list(columns)
        super().__init__({name: row.get(name) for name in self.columns} for row in rows)


def results(path: str | os.PathLike[str], *, plugins: Sequence[str] = ()) -> Table:
    """The results of a study or a run: one row for each member of each finished cell.

    The columns are the `cell`, its `mixer`, the axes that differ between the cells by
    their dotted names, seed, lr and weight_decay of the member, its status and step,
    its scores (`validation.accuracy`, `test.loss`; `decoded.exact_match` is of the best
    member), the headline `metric` and its `chance`, costs, and the `directory` to
    `load`. It is a list of dicts: `pandas.DataFrame(ar.results(path))` is a frame.

    Raises `BadInput` if `path` is neither a study nor a run, or if one of the `plugins`
    that it was trained with is missing. A cell whose files are
    damaged, or are not read by the disk, is left out with a warning.
    """
    found, damaged = runs(path, plugins)
    axes = _axes(found)
    rows: list[dict[str, Any]] = []
    for cell in found:
        try:
            result = layout.read_result(cell.directory)
            if result is None:
                continue
            journal = _journal(cell, result.get("log"))
        except (Damaged, OSError) as error:
            damaged.append(unread(cell.directory, error))
            continue
        last = list({record.get("member"): record for record in journal}.values())
        for row in member_rows(cell.id, cell.run, result, last):
            own = {"mixer": cell.mixer, "directory": str(cell.directory)}
            rows.append({**row, **own})
    _warn(damaged)
    scores = dict.fromkeys(
        name
        for row in rows
        for name in row
        if name.startswith(("validation.", "test.", "decoded."))
    )
    columns = (*FIRST, *axes, *HYPERS, *COUNTS, *scores, *COSTS, "directory")
    return Table(rows, columns)


def curves(path: str | os.PathLike[str], *, plugins: Sequence[str] = ()) -> Table:
    """The learning curves of a study or a run: one row for each value measured.

    The columns are the `cell`, its `mixer`, the axes that differ between the cells, the
    `member` with its seed, lr and weight_decay, the `step`, the name of the `metric`
    (on validation; `train_loss` is the mean since the last evaluation) and its
    `value`. Cells that are still running have rows too.

    Raises `BadInput` if `path` is neither a study nor a run, or if one of the `plugins`
    that it was trained with is missing. A cell whose log is
    damaged, or is not read by the disk, is left out with a warning.
    """
    found, damaged = runs(path, plugins)
    axes = _axes(found)
    rows: list[dict[str, Any]] = []
    for cell in found:
        try:
            journal = _journal(cell, None)
        except (Damaged, OSError) as error:
            damaged.append(unread(cell.directory, error))
            continue
        shared = {"cell": cell.id, "mixer": cell.mixer}
        shared |= {name: cell.fields.get(name) for name in axes}
        everyone = hypers.grid(cell.run.population)
        for record in journal:
            index, step = record["member"], record["step"]
            one = hypers.member(everyone, index)._asdict()
            # The shortest decimal of a float32 is the number that the user wrote.
            values = {
                name: value.item() if value.dtype.kind == "i" else float(str(value))
                for name, value in one.items()
            }
            rows += [
                {**shared, "member": index, **values, "step": step,
                 "metric": metric, "value": value}
                for metric, value in record.items()
                if metric not in ("member", "step") and isinstance(value, (int, float))
            ]  # fmt: skip
    _warn(damaged)
    columns = (*FIRST, *axes, "member", *HYPERS, "step", "metric", "value")
    return Table(rows, columns)


def _axes(cells: list[Found]) -> list[str]:
    """The fields that differ between cells, but for the pattern: that is the mixer."""
    return [name for name in varying(c.fields for c in cells) if name != PATTERN]


def _journal(cell: Found, end: str | None) -> list[dict[str, Any]]:
    return read_journal(Path(cell.directory) / layout.METRICS, end)


def _warn(damaged: list[Damaged | DiskError]) -> None:
    for damage in damaged:
        warnings.warn(f"{damage}; it is left out", stacklevel=3)
