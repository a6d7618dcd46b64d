"""What rows of results say: choice of learning rate, intervals, areas, exponents."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

Row = Mapping[str, Any]


class Interval(NamedTuple):
    """An estimate and its 95 % interval."""

    mean: float
    low: float
    high: float


def bootstrap(values: Sequence[float], draws: int = 2000) -> Interval:
    """The mean with its percentile bootstrap interval; NaN values are left out.

    With fewer than two values the interval is the value itself (Efron, 1979).
    """
    kept = np.asarray([v for v in values if math.isfinite(v)], float)
    if kept.size == 0:
        return Interval(math.nan, math.nan, math.nan)
    picks = np.random.default_rng(0).integers(0, kept.size, (draws, kept.size))
    low, high = np.percentile(kept[picks].mean(axis=1), [2.5, 97.5])
    return Interval(float(kept.mean()), float(low), float(high))


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


def reached(rows: Sequence[Row], mixer: str | None = None) -> float:
    """The mean test headline over seeds at the best rate of a mixer.

    Without a name that of the mixer that is best in it; NaN where nothing was trained.
    """
    names = {row["mixer"] for row in rows} if mixer is None else {mixer}
    values = []
    for name in sorted(names):
        best = trained(at_best_rate([row for row in rows if row["mixer"] == name]))
        values.append(float(np.mean([headline(row) for row in best])) if best else None)
    known = [value for value in values if value is not None]
    if not known:
        return math.nan
    return max(known) if rows[0]["goal"] == "max" else min(known)


def rate_curve(rows: Sequence[Row]) -> dict[float, Interval]:
    """Learning rate -> the test headline over seeds, at the best weight decay."""
    curve = {}
    for rate in sorted({row["lr"] for row in rows}):
        best = at_best_rate([row for row in rows if row["lr"] == rate])
        curve[rate] = bootstrap([headline(row) for row in trained(best)])
    return curve


def area(curve: Mapping[float, Interval]) -> float:
    """The mean height of a curve over the logarithm of the learning rate.

    The trapezoid area over its width, so that it has the metric's unit; NaN for fewer
    than two rates.
    """
    points = [(math.log(x), y.mean) for x, y in curve.items() if math.isfinite(y.mean)]
    if len(points) < 2:
        return math.nan
    x, y = map(np.asarray, zip(*points, strict=True))
    return float(np.trapezoid(y, x) / (x[-1] - x[0]))


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
        (math.sqrt(max(low, 0.5) * max(high, 0.5)), bootstrap(values))
        for (low, high), values in sorted(seen.items())
    ]


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


def exponent(x: Sequence[float], y: Sequence[float]) -> Interval:
    """The slope of log y over log x by least squares, with its 95 % interval.

    y ~ x^slope; NaN for fewer than two points, no interval for fewer than three.
    """
    return slope(np.log(np.asarray(x, float)), np.log(np.asarray(y, float)))


def slope(x: Sequence[float] | np.ndarray, y: Sequence[float] | np.ndarray) -> Interval:
    """The slope of y over x by least squares, with its 95 % interval.

    NaN for fewer than two points, no interval for fewer than three.
    """
    if len(x) < 2:
        return Interval(math.nan, math.nan, math.nan)
    x, y = np.asarray(x, float), np.asarray(y, float)
    found, offset = np.polyfit(x, y, 1)
    if len(x) < 3:
        return Interval(float(found), math.nan, math.nan)
    from scipy.special import stdtrit

    rest = y - found * x - offset
    spread = math.sqrt(np.sum(rest**2) / (len(x) - 2) / np.sum((x - x.mean()) ** 2))
    reach = float(stdtrit(len(x) - 2, 0.975)) * spread
    return Interval(float(found), float(found - reach), float(found + reach))
