"""What rows of results say: the choice of a learning rate, the headline, distances."""

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from attn_research.analysis.statistics.powers import crossing, exponent
from attn_research.analysis.statistics.samples import bootstrap, paired
from attn_research.study import Interval, Row


def trained(rows: Sequence[Row]) -> list[Row]:
    """The rows of members that did not diverge."""
    return [row for row in rows if row["status"] != "diverged"]


def headline(row: Row, split: str = "test") -> float:
    """A row's headline metric in a split, NaN where it has none."""
    value = row.get(f"{split}.{row['metric']}")
    return math.nan if value is None else float(value)


def at_best_rate(rows: Sequence[Row]) -> list[Row]:
    """The rows at the learning rate and weight decay best in validation.

    The mean over seeds decides, a diverged seed counting as the worst; the test split
    is not looked at.
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

    return min(groups.values(), key=rank) if groups else []


def by_distance(
    rows: Sequence[Row], table: str, metric: str
) -> list[tuple[float, Interval]]:
    """(geometric middle of a bin, metric over seeds) from `by_gap` or `by_position`."""
    seen: dict[tuple[int, int], list[float]] = {}
    for row in rows:
        found = row.get(table) or {}
        for low, high, value in zip(
            found.get("low", ()),
            found.get("high", ()),
            found.get(metric, ()),
            strict=True,
        ):
            seen.setdefault((low, high), []).append(value)
    return [
        (middle(low, high), bootstrap(values))
        for (low, high), values in sorted(seen.items())
    ]


def middle(low: float, high: float) -> float:
    """Where a bin of distances is drawn: its geometric middle, that of 0 at a half."""
    return math.sqrt(max(low, 0.5) * max(high, 0.5))


def inside(row: Row, table: str, metric: str, low: float, high: float) -> float:
    """A row's metric over the distances from low to high; NaN where it has none.

    Bins of `by_gap` or `by_position` count that lie in this interval as a whole.
    """
    found, names = row.get(table) or {}, ("low", "high", "count", metric)
    bins = zip(*(found.get(name, ()) for name in names), strict=True)
    kept = [
        (n, value) for first, last, n, value in bins if low <= first <= last <= high
    ]
    total = sum(n for n, _ in kept)
    return sum(n * value for n, value in kept) / total if total else math.nan


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
    """A measure of a mixer at its best rate, mean over seeds with its interval."""
    own = [row for row in rows if row["mixer"] == mixer]
    return bootstrap(list(by_seed(at_best_rate(own), measure).values()))


def reached(rows: Sequence[Row], mixer: str | None = None) -> Interval:
    """The test headline of a mixer, or of the one that is best in validation.

    At the rate best in validation, mean over seeds with its interval.
    """
    return level(rows, mixer or _ranked(rows, "validation")[0])


def worst(rows: Sequence[Row]) -> Interval:
    """The test headline of the mixer that is worst in it, as of `reached`.

    Unknown where all seeds of a mixer diverged.
    """
    return level(rows, _ranked(rows, "test")[-1])


def _ranked(rows: Sequence[Row], split: str) -> list[str]:
    """The mixers by their headline in a split, the best first, the unknown last."""

    def rank(mixer: str) -> float:
        mean = level(rows, mixer, partial(headline, split=split)).mean
        sign = -1.0 if rows[0]["goal"] == "max" else 1.0
        return math.inf if math.isnan(mean) else sign * mean

    return sorted(sorted({row["mixer"] for row in rows}), key=rank) or [""]


def lead(
    rows: Sequence[Row],
    first: str,
    second: str,
    measure: Callable[[Row], float] = headline,
) -> Interval:
    """How much more of a measure one mixer has than another, each at its best rate.

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
    """The lengths and the costs of a mixer, where there is one."""
    own = [row for row in rows if row["mixer"] == mixer and row[cost]]
    return [float(row["task.length"]) for row in own], [float(r[cost]) for r in own]


def growth(rows: Sequence[Row], mixer: str, cost: str) -> Interval:
    """The exponent of the growth of a cost with the length."""
    return exponent(*cost_curve(rows, mixer, cost))


def overtaken(rows: Sequence[Row], slow: str, fast: str, cost: str) -> Interval:
    """The length from which one mixer costs less than another, by the fitted powers."""
    return crossing(*cost_curve(rows, slow, cost), *cost_curve(rows, fast, cost))
