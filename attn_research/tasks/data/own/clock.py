"""The times of a series in order: one step apart, or the gaps between them."""

import re
from calendar import monthrange
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

import numpy as np

from attn_research.options import BadInput

EPOCH = datetime(1970, 1, 1)
MOST = 1e9  # steps of a series
LARGEST = 2.0**53  # number that is a time: beyond it, whole ones are not exact
EPOCH_DIGITS = re.compile(r"\d{9,}")  # a time since 1970, never a date without signs


class Timeline(NamedTuple):
    """Where each row lies on a line of equal steps, from 0 on, and the step in words.

    `order` has the numbers of the rows in the order of their times, `tick` the step of
    each.
    """

    order: list[int]
    tick: list[int]
    step: str


class Unit(NamedTuple):
    """What a time counts, and how many of it are a second."""

    name: str
    per_second: float


SECONDS = Unit("seconds", 1.0)
# The units of times since 1970, each from its number of 1973 up to that of 5138.
UNITS = (SECONDS, Unit("milliseconds", 1e3), Unit("microseconds", 1e6))
FROM, TO = 1e8, 1e11  # seconds


def check_format(form: str) -> None:
    """Raises `BadInput` if a format of times cannot be read."""
    try:
        datetime.strptime(datetime(2024, 5, 31, 18).strftime(form), form)
    except (ValueError, re.error):
        raise BadInput(
            f"--dates is {form!r}; it must be a format such as '%d.%m.%Y %H:%M'"
        ) from None


def moment(value: Any, where: str, form: str) -> float | datetime:
    """A number, or a time: with a zone in UTC, without one as it is written.

    Raises `BadInput` for anything else.
    """
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    if isinstance(value, int | float) and not isinstance(value, bool):
        if abs(value) <= LARGEST and not form:
            return float(value)
    try:
        text = str(value).strip()
        if form:
            return datetime.strptime(text, form)
        try:
            if EPOCH_DIGITS.fullmatch(text):
                raise ValueError
            return datetime.fromisoformat(text)
        except ValueError:
            number = float(text)
            if not abs(number) <= LARGEST:
                raise ValueError from None
            return number
    except (ValueError, OverflowError):
        raise BadInput(
            f"{where} has the time {str(value)[:60]!r}; it must be {_wanted(form)}"
        ) from None


def _wanted(form: str) -> str:
    if form:
        return f"as --dates={form}"
    return (
        "a number or as 2024-05-31 18:00, or --dates must give its format, such as "
        "--dates=%d.%m.%Y"
    )


def seconds(moments: Sequence[float | datetime], places: Sequence[str]) -> list[float]:
    """Numbers as they are, times as seconds; raises `BadInput` if they are mixed."""

    def sort(value: float | datetime) -> str:
        if not isinstance(value, datetime):
            return "a number"
        return "a time without a zone" if value.tzinfo is None else "a time with a zone"

    for value, place in zip(moments, places, strict=True):
        if sort(value) != sort(moments[0]):
            raise BadInput(
                f"{place} has {sort(value)}, {places[0]} {sort(moments[0])}; all must "
                "be of one kind"
            )
    return [_second(value) for value in moments]


def _second(value: float | datetime) -> float:
    if not isinstance(value, datetime):
        return value
    since = value.replace(tzinfo=None) - EPOCH - (value.utcoffset() or timedelta())
    return since.total_seconds()


def unit(moments: Sequence[float | datetime]) -> Unit | None:
    """What the times count: seconds if they are dates, None if they are plain numbers.

    Numbers that all have nine digits or more are seconds, milliseconds or microseconds
    since 1970, by their size.
    """
    numbers = [value for value in moments if not isinstance(value, datetime)]
    if len(numbers) < len(moments):
        return SECONDS
    for found in UNITS:
        low, high = FROM * found.per_second, TO * found.per_second
        if all(low <= value < high for value in numbers):
            return found
    return None


def written(time: float, unit: Unit) -> str:
    """A time since 1970 as a date."""
    return str(EPOCH + timedelta(seconds=time / unit.per_second))


def timeline(
    second: Sequence[float], unit: Unit | None, places: Sequence[str]
) -> Timeline:
    """The rows on a line of equal steps: the most frequent one, or months.

    Times must differ; they count `unit` if there is one. Raises `BadInput` with the row
    where the step is no multiple.
    """
    order = np.argsort(np.asarray(second), kind="stable").tolist()
    line = [second[n] for n in order]
    if len(line) < 2:
        return Timeline(order, [0] * len(line), "none")
    apart = np.diff(line)
    found, counts = np.unique(apart, return_counts=True)
    step = float(found[np.argmax(counts)])
    words, hint = _length(step, unit), ""
    if unit and step / unit.per_second >= timedelta(days=28).total_seconds():
        months = _months([value / unit.per_second for value in line])
        if months is None:
            hint = " (months must all be on one day, or on their last)"
        else:
            line, words = months, "months"
            apart = np.diff(line)
            found, counts = np.unique(apart, return_counts=True)
            step = float(found[np.argmax(counts)])
            words = f"{step:g} month{'s' * (step != 1)}"
    ticks = (np.asarray(line) - line[0]) / step
    if not ticks[-1] < MOST:
        raise BadInput(
            f"The times from {places[order[0]]} to {places[order[-1]]} span "
            f"{ticks[-1]:.0g} steps of {words}; it must be fewer than {MOST:.0g}"
        )
    whole = np.rint(ticks)
    wrong = np.flatnonzero(np.abs(ticks - whole) > 1e-6 * np.maximum(1, whole))
    doubled = np.flatnonzero(np.diff(whole) < 1) + 1
    for place in sorted([*wrong, *doubled])[:1]:
        at = order[int(place)]
        raise BadInput(
            f"{places[at]} is {_apart(second, order, int(place), unit)} after the row "
            f"before it; the step of the series is {words}{hint}, and times must be "
            "whole steps apart: bring the series to equal steps, as by its means over "
            "each, and prepare that"
        )
    return Timeline(order, whole.astype(int).tolist(), words)


def _apart(
    second: Sequence[float], order: list[int], place: int, unit: Unit | None
) -> str:
    return _length(second[order[place]] - second[order[place - 1]], unit)


def _length(time: float, unit: Unit | None) -> str:
    return (
        f"{time:g}" if unit is None else str(timedelta(seconds=time / unit.per_second))
    )


def _months(line: Sequence[float]) -> list[float] | None:
    """Months since the year 0 if all times are at one moment of a month.

    A month that is too short for the day has its last one, so the ends of months are
    one step apart.
    """
    try:
        times = [EPOCH + timedelta(seconds=value) for value in line]
    except OverflowError:  # a zone moves a time out of the calendar
        return None
    day = max(t.day for t in times)
    if len({t.time() for t in times}) > 1:
        return None
    if any(t.day != min(day, monthrange(t.year, t.month)[1]) for t in times):
        return None
    return [12.0 * t.year + t.month for t in times]
