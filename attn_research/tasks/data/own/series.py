"""A user's time series: numbers in the order of their times, in three stretches."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np

from attn_research.options import BadInput
from attn_research.tasks.contract import SPLITS, Split
from attn_research.tasks.data.own import clock, numbers, splitting
from attn_research.tasks.data.own.asked import Asked
from attn_research.tasks.data.own.splitting import Divided
from attn_research.tasks.data.own.tables import Row, Table
from attn_research.tasks.data.schema import Feature, array

SHARES = (0.7, 0.85)  # where validation and test begin
LEAST = 20  # rows
Held = list[Split | None]  # the split that each row is given


class Series(NamedTuple):
    """The values of each split, as one example each, their schema, and notes."""

    splits: Divided
    features: dict[str, Feature]
    notes: list[str]


def read(asked: Asked, table: Table, roles: dict[str, str]) -> Series:
    """The series of a table: sorted, without gaps, divided in time.

    Raises `BadInput` naming the row that has no number, repeats a time with other
    values, or leaves a gap.
    """
    names = roles["values"].split("+")
    values_TF, notes = numbers.read(table.rows, names)
    rows = [row.where for row in table.rows]
    held = _held(table.rows, asked.split)
    tick = list(range(len(rows)))
    if "time" in roles:
        tick, chosen, told = _timed(asked, table.rows, roles["time"], values_TF)
        values_TF = values_TF[chosen]
        rows = [rows[n] for n in chosen]
        held = _held([table.rows[n] for n in chosen], asked.split)
        notes += told
    else:
        notes.append("No column is the time: the rows are taken in their order.")
    values_TF, held, told = _without_gaps(asked, values_TF, tick, rows, held)
    splits, cut = _stretches(values_TF, held, asked)
    about = array("float32", (None, len(names)), ", ".join(names))
    return Series(splits, {"values": about}, [*notes, *told, *cut])


def _held(rows: list[Row], column: str) -> Held:
    """The split that each row is given, if it is given one."""
    return [splitting.of_row(row, column) for row in rows]


def _timed(
    asked: Asked, rows: list[Row], column: str, values_TF: np.ndarray
) -> tuple[list[int], list[int], list[str]]:
    """The ticks of the rows in the order of time, their numbers, and notes."""
    places = [row.where for row in rows]
    for row in rows:
        if numbers.absent(row.cells[column]):
            raise BadInput(f"{row.where} has no time; it must have one")
    moments = [clock.moment(r.cells[column], r.where, asked.dates) for r in rows]
    second = clock.seconds(moments, places)
    notes, kept, copies = [], dict[float, int](), list[int]()
    for number, time in enumerate(second):
        other = kept.setdefault(time, number)
        if other == number:
            continue
        if not np.array_equal(values_TF[other], values_TF[number], equal_nan=True):
            raise BadInput(
                f"{places[number]} has the time of {places[other]} and other values; "
                "a time must have one row"
            )
        copies.append(number)
    if copies:
        notes.append(
            f"{len(copies):,} rows repeat the time and the values of another, first "
            f"{places[copies[0]]}: left out."
        )
    chosen = list(kept.values())
    unit = clock.unit(moments)
    if unit is not None and not isinstance(moments[0], datetime):
        notes.append(
            f"The times are {unit.name} since 1970; the first is "
            f"{clock.written(second[0], unit)}."
        )
    line = clock.timeline(
        [second[n] for n in chosen], unit, [places[n] for n in chosen]
    )
    moved = [n for n, own in enumerate(line.order) if n != own]
    if moved:
        late = places[chosen[line.order[moved[0]]]]
        notes.append(f"The rows are sorted by time, the first moved is {late}.")
    notes.append(f"The step of the series is {line.step}.")
    return line.tick, [chosen[n] for n in line.order], notes


def _without_gaps(
    asked: Asked,
    values_TF: np.ndarray,
    tick: Sequence[int],
    rows: list[str],
    held: Held,
) -> tuple[np.ndarray, Held, list[str]]:
    """The values at every step: filled, or the longest stretch, as --gaps says."""
    empty = np.any(np.isnan(values_TF), axis=1)
    jumps = np.flatnonzero(np.diff(tick) > 1)
    absent = int((np.diff(tick) - 1).sum())
    if not empty.any() and not len(jumps):
        return values_TF, held, []
    told = []
    if len(jumps):
        told.append(
            f"{_many(len(jumps), 'gap')} of {_many(absent, 'step')}, first between "
            f"{rows[jumps[0]]} and {rows[jumps[0] + 1]}"
        )
    if empty.any():
        first = rows[int(np.argmax(empty))]
        told.append(f"{_many(int(empty.sum()), 'row')} without a number, first {first}")
    what = f"{asked.source} has {' and '.join(told)}"
    if asked.gaps == "refuse":
        raise BadInput(
            f"{what}; --gaps must be fill (on a line between neighbours) or longest "
            "(the longest stretch without any)"
        )
    if asked.gaps == "longest":
        breaks = [0]
        for n in range(1, len(rows)):
            apart = tick[n] - tick[n - 1] > 1
            breaks += [n] if apart or empty[n] or empty[n - 1] else []
        edges = [*breaks, len(rows)]
        pairs = [(a, b) for a, b in zip(edges, edges[1:], strict=False) if not empty[a]]
        low, high = max(pairs, key=lambda pair: pair[1] - pair[0], default=(0, 0))
        note = f"{what}: {high - low:,} rows without any are kept, of {len(rows):,}."
        return values_TF[low:high], held[low:high], [note]
    if absent > len(rows):
        raise BadInput(
            f"{what}; the steps that are filled must be at most as many as the "
            f"{len(rows):,} rows"
        )
    known_FR = [np.flatnonzero(~np.isnan(values_T)) for values_T in values_TF.T]
    if not all(map(len, known_FR)):
        raise BadInput(f"{what}; a column must have a number in one row at least")
    low = max(int(known_R[0]) for known_R in known_FR)
    high = min(int(known_R[-1]) for known_R in known_FR)
    if low > high:
        raise BadInput(
            f"{what}, and one column begins where another has ended; the columns must "
            "have numbers at the same time"
        )
    notes = [f"{what}: filled on a line between neighbours."]
    edges = low, len(rows) - 1 - high
    if any(edges):
        notes.append(
            f"{_many(edges[0], 'row')} at the start and {edges[1]:,} at the end are "
            "left out, since a column has no number before or after them."
        )
    at_T = np.asarray(tick)
    every_T = np.arange(tick[low], tick[high] + 1)
    filled_TF = np.stack(
        [
            np.interp(every_T, at_T[known_R], values_T[known_R])
            for known_R, values_T in zip(known_FR, values_TF.T, strict=True)
        ],
        axis=1,
    )
    before = np.searchsorted(at_T, every_T, side="right") - 1
    return filled_TF, [held[n] for n in before], notes


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"


def _stretches(
    values_TF: np.ndarray, held: Held, asked: Asked
) -> tuple[Divided, list[str]]:
    """Train, then validation, then test: as given, or 70, 15 and 15 % of the time."""
    count = len(values_TF)
    if count < LEAST:
        raise BadInput(
            f"{asked.source} has {count} steps in a row; it must have at least {LEAST}"
        )
    given = [split for split in held if split]
    notes = []
    if given:
        ranks = [SPLITS.index(split) for split in given]
        counts = [ranks.count(n) for n in range(3)]
        if ranks != sorted(ranks) or not all(counts) or len(given) < count:
            raise BadInput(
                f"The splits of {asked.source} have {counts[0]:,}, {counts[1]:,} and "
                f"{counts[2]:,} steps; in the order of time they must be train, then "
                "validation, then test, with one step or more each"
            )
        edges = np.cumsum([0, *counts])
    else:
        inner = [round(count * share) for share in SHARES]
        edges = np.array([0, *inner, count])
        notes.append(
            "The first 70 % of the time is train, the next 15 % validation, the last "
            "15 % test."
        )
    parts = zip(SPLITS, edges, edges[1:], strict=False)
    splits: Divided = {s: [{"values": values_TF[low:high]}] for s, low, high in parts}
    return splits, notes
