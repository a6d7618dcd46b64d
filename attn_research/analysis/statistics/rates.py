"""The dependence of a metric on the learning rate: curves, areas, robustness."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from attn_research.analysis.statistics.rows import at_best_rate, headline, trained
from attn_research.analysis.statistics.samples import mean_interval
from attn_research.studies.study import Interval, Row


def rate_curve(rows: Sequence[Row]) -> dict[float, Interval]:
    """Learning rate -> the test headline, mean over seeds, at the best weight decay."""
    curve = {}
    for rate in sorted({row["lr"] for row in rows}):
        best = at_best_rate([row for row in rows if row["lr"] == rate])
        curve[rate] = mean_interval([headline(row) for row in trained(best)])
    return curve


def area(curve: Mapping[float, Interval]) -> float:
    """The mean height of a curve over the logarithm of the learning rate.

    The trapezoid area divided by its width, in the unit of the metric; NaN for fewer
    than two rates.
    """
    points = [(math.log(x), y.mean) for x, y in curve.items() if math.isfinite(y.mean)]
    if len(points) < 2:
        return math.nan
    x, y = map(np.asarray, zip(*points, strict=True))
    return float(np.trapezoid(y, x) / (x[-1] - x[0]))


def robustness(rows: Sequence[Row]) -> Interval:
    """The area under the test headline over the rates, mean over seeds.

    A diverged member counts as chance if that is known, else not at all.
    """
    curves: dict[int, dict[float, Interval]] = {}
    for rate in sorted({row["lr"] for row in rows}):
        for row in at_best_rate([row for row in rows if row["lr"] == rate]):
            lost = row["status"] == "diverged"
            level = row.get("chance") if lost else headline(row)
            height = math.nan if level is None else float(level)
            curves.setdefault(row["seed"], {})[rate] = Interval(height, height, height)
    return mean_interval([area(curve) for curve in curves.values()])
