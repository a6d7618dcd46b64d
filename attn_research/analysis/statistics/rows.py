"""Statistics of rows of results: the best learning rate, the headline, distances."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from attn_research.analysis.statistics.powers import crossing, exponent
from attn_research.analysis.statistics.samples import UNKNOWN, mean_interval, paired
from attn_research.studies import doubts, plateau
from attn_research.studies.study import Interval, Row


def trained(rows: Sequence[Row]) -> list[Row]:
    """The rows of members that did not diverge."""
    return [row for row in rows if row["status"] != "diverged"]


def headline(row: Row, split: str = "test") -> float:
    """A row's headline metric in a split, NaN if it has none."""
    value = row.get(f"{split}.{row['metric']}")
    return math.nan if value is None else float(value)


def at_best_rate(rows: Sequence[Row]) -> list[Row]:
    """The rows at the learning rate and weight decay that are best in validation.

    The mean over seeds decides; a diverged seed counts as worst. The test split is not
    used. Notes (see `studies.doubts`) if a seed diverged at the best rate; and if it
    lies at an end of the rates, or its members were still learning, unless they are at
    the ceiling of the metric.
    """
    groups: dict[tuple[float, float], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["lr"], row["weight_decay"]), []).append(row)

    def rank(group: list[Row]) -> float:
        sign = -1.0 if group[0]["goal"] == "max" else 1.0
        values = [
            math.inf
            if row["status"] == "diverged"
            else sign * headline(row, "validation")
            for row in group
        ]
        mean = float(np.mean(values))
        return math.inf if math.isnan(mean) else mean

    best = min(groups.values(), key=rank) if groups else []
    _doubt(best, {rate for rate, _ in groups})
    return best


def _doubt(best: Sequence[Row], rates: set[float]) -> None:
    """Notes what makes the best of these rates doubtful."""
    rows = trained(best)
    if lost := len(best) - len(rows):
        name = best[0].get("mixer", "the model")
        doubts.note(f"diverged: {lost} of {len(best)} runs of {name}")
    values = [headline(row, "validation") for row in rows]
    if not rows or any(math.isnan(value) for value in values):
        return
    first, mean = rows[0], float(np.mean(values))
    if plateau.solved(mean, first["goal"], first.get("chance")):
        return
    name = first.get("mixer", "the model")
    if len(rates) == 1:
        doubts.note(f"edge: one rate was tried of {name}")
    elif first["lr"] in (min(rates), max(rates)):
        doubts.note(f"edge: the best rate of {name}, {first['lr']:g}, is at an end")
    gains = [row["plateau"] for row in rows if row.get("plateau") is not None]
    if gains and float(np.mean(gains)) > plateau.STILL:
        doubts.note(f"still learning: {name} gained {np.mean(gains):.2g} at the end")


def by_distance(
    rows: Sequence[Row], table: str, metric: str
) -> list[tuple[float, Interval]]:
    """(geometric middle of a bin, metric over seeds) from `by_gap` or `by_position`."""
    bins: dict[tuple[int, int], list[float]] = {}
    for row in rows:
        columns = row.get(table) or {}
        for low, high, value in zip(
            *(columns.get(name, ()) for name in ("low", "high", metric)), strict=True
        ):
            bins.setdefault((low, high), []).append(value)
    return [
        (middle(low, high), mean_interval(values))
        for (low, high), values in sorted(bins.items())
    ]


def middle(low: float, high: float) -> float:
    """The abscissa of a bin of distances: its geometric middle, with 0 at a half."""
    return math.sqrt(max(low, 0.5) * max(high, 0.5))


def inside(row: Row, table: str, metric: str, low: float, high: float) -> float:
    """A row's metric over the distances from low to high; NaN if it has none.

    Bins of `by_gap` or `by_position` count if they lie entirely in this interval.
    """
    columns, names = row.get(table) or {}, ("low", "high", "count", metric)
    bins = zip(*(columns.get(name, ()) for name in names), strict=True)
    within = [
        (n, value) for first, last, n, value in bins if low <= first <= last <= high
    ]
    total = sum(n for n, _ in within)
    return sum(n * value for n, value in within) / total if total else math.nan


def by_seed(
    rows: Sequence[Row], measure: Callable[[Row], float] = headline
) -> dict[int, float]:
    """Seed -> the mean of a measure over its trained rows."""
    values: dict[int, list[float]] = {}
    for row in trained(rows):
        values.setdefault(row["seed"], []).append(measure(row))
    return {seed: float(np.mean(some)) for seed, some in values.items()}


def level(
    rows: Sequence[Row], mixer: str, measure: Callable[[Row], float] = headline
) -> Interval:
    """A measure of a mixer at its best rate: the mean over seeds with its interval."""
    rows = [row for row in rows if row["mixer"] == mixer]
    return mean_interval(list(by_seed(at_best_rate(rows), measure).values()))


def reached(rows: Sequence[Row], mixer: str | None = None) -> Interval:
    """The test headline of a mixer (None: the one that is best in validation).

    At the rate that is best in validation, the mean over seeds with its interval.
    """
    return level(rows, mixer or ranked(rows)[0])


def worst(rows: Sequence[Row]) -> Interval:
    """The test headline of the mixer that is worst in validation, as in `reached`.

    Unknown if all seeds of a mixer diverged.
    """
    return level(rows, ranked(rows)[-1])


def best_row(rows: Sequence[Row]) -> Row:
    """The row of the member that is best in validation, {} if there is none.

    A cell's `decoded` columns are what its member best in validation wrote.
    """
    known = [
        row for row in trained(rows) if not math.isnan(headline(row, "validation"))
    ]
    if not known:
        return {}
    best = max if known[0]["goal"] == "max" else min
    return best(known, key=lambda row: headline(row, "validation"))


def ranked(rows: Sequence[Row]) -> list[str]:
    """The mixers by their headline in validation, best first, unknown last."""

    def rank(mixer: str) -> float:
        with doubts.unnoted():
            mean = level(rows, mixer, partial(headline, split="validation")).mean
        sign = -1.0 if rows[0]["goal"] == "max" else 1.0
        return math.inf if math.isnan(mean) else sign * mean

    return sorted(sorted({row["mixer"] for row in rows}), key=rank) or [""]


def lead(
    rows: Sequence[Row],
    first: str,
    second: str,
    measure: Callable[[Row], float] = headline,
) -> Interval:
    """The measure of the first mixer minus that of the second, each at its best rate.

    At equal seeds, with the interval over them.
    """
    one, other = (
        by_seed(at_best_rate([r for r in rows if r["mixer"] == name]), measure)
        for name in (first, second)
    )
    return paired(one, other)


def cost_curve(
    rows: Sequence[Row], mixer: str, cost: str
) -> tuple[list[float], list[float]]:
    """The lengths and the costs of a mixer, from the rows that have the cost."""
    rows = [row for row in rows if row["mixer"] == mixer and row[cost]]
    return [float(r["task.length"]) for r in rows], [float(r[cost]) for r in rows]


def growth(rows: Sequence[Row], mixer: str, cost: str) -> Interval:
    """The exponent of the growth of a cost with the length."""
    return exponent(*cost_curve(rows, mixer, cost))


def overtaken(rows: Sequence[Row], slow: str, fast: str, cost: str) -> Interval:
    """The length at which the fitted costs of two mixers are equal.

    Outside the lengths that both were measured at the fit is not trusted: the mean is
    NaN, and the interval goes from 0, or to infinity.
    """
    slow_lengths, slow_costs = cost_curve(rows, slow, cost)
    fast_lengths, fast_costs = cost_curve(rows, fast, cost)
    if not slow_lengths or not fast_lengths:
        return UNKNOWN
    shortest = max(min(slow_lengths), min(fast_lengths))
    longest = min(max(slow_lengths), max(fast_lengths))
    found = crossing(slow_lengths, slow_costs, fast_lengths, fast_costs)
    if shortest <= found.mean <= longest or math.isnan(found.low):
        return found
    if found.mean < shortest:
        return Interval(math.nan, 0.0, max(found.high, shortest))
    return Interval(math.nan, min(found.low, longest), math.inf)
