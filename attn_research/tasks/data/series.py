"""Hourly measurements of electricity transformers, to forecast."""

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np

from attn_research.options import BadInput
from attn_research.tasks.contract import SPLITS
from attn_research.tasks.data.raw import decoded, lines
from attn_research.tasks.data.schema import DataSet, File, array

CHANNELS = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")
EPOCH = datetime(1970, 1, 1)
MONTH = 30 * 24  # hours, as the literature counts
BORDERS = (0, 12 * MONTH, 16 * MONTH, 20 * MONTH)


def _ett(raw: Path, name: str, borders: tuple[int, ...]) -> Iterator[tuple]:
    """Three consecutive parts of one table, each a single example."""
    hour_T, value_TF = table(raw, name)
    if len(hour_T) < borders[-1]:
        raise BadInput(
            f"{raw / name} has {len(hour_T):,} hours; it must be at least "
            f"{borders[-1]:,}"
        )
    for split, low, high in zip(SPLITS, borders, borders[1:], strict=False):
        yield split, {"values": value_TF[low:high], "hour": hour_T[low]}


def table(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The hours since 1970 and the numbers of a CSV file.

    Raises `BadInput` naming the line with a gap, a missing value or a bad number.
    """
    header, *rows = lines(folder, name)
    if decoded(header).strip().split(",") != ["date", *CHANNELS]:
        raise BadInput(
            f"The columns of {folder / name} must be date, {', '.join(CHANNELS)}"
        )
    hours: list[int] = []
    values: list[list[float]] = []
    for number, row in enumerate(rows, 2):
        where = f"{folder / name} line {number}"
        date, *cells = decoded(row).strip().split(",")
        if len(cells) != len(CHANNELS):
            raise BadInput(f"{where} has {len(cells)} values of {len(CHANNELS)}")
        hours.append(_hour(date, where))
        if len(hours) > 1 and hours[-1] != hours[-2] + 1:
            raise BadInput(f"{where} is {hours[-1] - hours[-2]} hours after the last")
        values.append([_number(cell, where) for cell in cells])
    return np.array(hours), np.array(values).reshape(-1, len(CHANNELS))


def _hour(date: str, where: str) -> int:
    try:
        since = datetime.fromisoformat(date) - EPOCH
    except (ValueError, TypeError):  # no date, or one with a time zone
        raise BadInput(
            f"{where} has the date {date!r}; it must be as 2016-07-01 00:00:00"
        ) from (None)
    return int(since.total_seconds() // 3600)


def _number(cell: str, where: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise BadInput(f"{where} has {cell!r}; it must be a finite number")
    return value


def _set(name: str, file: File) -> DataSet:
    return DataSet(
        name=name,
        task="forecasting of 7 hourly channels",
        licence="CC BY-ND 4.0 (share unchanged copies only)",
        source=f"zhouhaoyi/ETDataset: ETT-small/{file.name}",
        folder="ett",
        files=(file,),
        features={
            "values": array("float32", (None, len(CHANNELS)), ", ".join(CHANNELS)),
            "hour": array("int32", (), "the first row, in hours since 1970"),
        },
        split="12, 4 and 4 months of 30 days, one after another (Zhou et al., 2021, "
        "arXiv:2012.07436); the rest is not used",
        examples={"train": 1, "validation": 1, "test": 1},
        generate=partial(_ett, name=file.name, borders=BORDERS),
    )


ETTH1 = _set(
    "etth1",
    File(
        "ETTh1.csv",
        2_589_657,
        "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066",
    ),
)
ETTH2 = _set(
    "etth2",
    File(
        "ETTh2.csv",
        2_417_960,
        "a3dc2c597b9218c7ce1cd55eb77b283fd459a1d09d753063f944967dd6b9218b",
    ),
)
