"""The columns of a user's series that hold numbers, and the numbers in them."""

import re
from typing import Any

import numpy as np

from attn_research.options import BadInput
from attn_research.tasks.data.own.asked import Asked
from attn_research.tasks.data.own.tables import Row, Table

COMMA = re.compile(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")  # or a number with three decimals
LARGEST = 1e30  # value, far inside of float32


def channels(asked: Asked, table: Table, roles: dict[str, str]) -> str:
    """The columns of values, joined by `+`: all others that hold numbers for the most.

    Raises `BadInput` if none does.
    """
    taken = {roles.get("time"), asked.split}
    found = []
    for name in table.columns:
        if name in taken:
            continue
        cells = [c for c in (row.cells[name] for row in table.rows) if not absent(c)]
        if 2 * sum(_number(cell) is not None for cell in cells) > len(cells):
            found.append(name)
    if not found:
        raise BadInput(
            f"{asked.source} has no column of numbers among {', '.join(table.columns)}"
            "; --columns must name some, such as --columns=time=date,values=a+b"
        )
    for name in found:
        if "+" in name:
            raise BadInput(
                f"{asked.source} has the column {name!r}; a column of values must have "
                "a name without +"
            )
    return "+".join(found)


def absent(cell: Any) -> bool:
    """Whether a cell holds no value."""
    missing = ("", "nan", "na", "n/a", "null", "none")
    return cell is None or str(cell).strip().lower() in missing


def _number(cell: Any) -> float | None:
    """A number, with a comma or a point before its decimals; None for another value."""
    text = str(cell).strip()
    if isinstance(cell, bool):
        return None
    if COMMA.fullmatch(text):
        text = text.replace(",", ".")
    if "_" in text:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def read(rows: list[Row], names: list[str]) -> tuple[np.ndarray, list[str]]:
    """values_TF, NaN where a cell is empty, and notes.

    A column has commas or points before its decimals. Raises `BadInput` for both, for
    commas that may stand between thousands, and with the row for what is no number.
    """
    values_TF = np.full((len(rows), len(names)), np.nan)
    first: dict[tuple[int, str], str] = {}
    thousands: dict[int, str | None] = {}
    for time, row in enumerate(rows):
        for place, name in enumerate(names):
            cell = row.cells[name]
            if absent(cell):
                continue
            value = _number(cell)
            if value is None or not abs(value) < LARGEST:
                raise BadInput(
                    f"{row.where} has {str(cell)[:60]!r} in the column {name}; it must "
                    "be a finite number without signs between its thousands"
                )
            values_TF[time, place] = value
            if isinstance(cell, str) and "," in cell:
                both = THOUSANDS.fullmatch(cell.strip())
                told = f"{cell.strip()!r} in {row.where}" if both else None
                if thousands.setdefault(place, told) is not None and not both:
                    thousands[place] = None
            for sign in ",.":
                if isinstance(cell, str) and sign in cell:
                    first.setdefault((place, sign), row.where)
    for place, told in thousands.items():
        if told is not None:
            raise BadInput(
                f"The column {names[place]} has {told}, and each of its commas stands "
                "before three digits, as between thousands; its numbers must be "
                "without signs between thousands, with a point before their decimals"
            )
    for place, name in enumerate(names):
        if (place, ",") in first and (place, ".") in first:
            raise BadInput(
                f"The column {name} has a comma in {first[place, ',']} and a point in "
                f"{first[place, '.']}; its decimals must all follow the same sign"
            )
    commas = [where for (_, sign), where in first.items() if sign == ","]
    return values_TF, [
        f"Commas in numbers are decimal ones, first in {where}." for where in commas[:1]
    ]
