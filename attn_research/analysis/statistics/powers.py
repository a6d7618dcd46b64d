"""Straight lines and power laws: slopes, exponents, and the crossing of two."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from attn_research.analysis.statistics.samples import UNKNOWN
from attn_research.studies.confidence import tail
from attn_research.studies.study import Interval

Values = Sequence[float] | np.ndarray


class Fit(NamedTuple):
    """A line fitted by least squares: height at the middle of x, slope, and errors."""

    middle: float
    height: float
    slope: float
    points: int
    spread: float  # of x: the sum of squares about its middle
    error: float  # of y: the sum of squares about the line


def fit(x: Values, y: Values) -> Fit:
    """The line through points; its slope is NaN for fewer than two distinct x."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    if x.size < 2 or np.ptp(x) == 0:
        return Fit(math.nan, math.nan, math.nan, x.size, math.nan, math.nan)
    x_, y_ = x - x.mean(), y - y.mean()
    spread = float(x_ @ x_)
    slope = float(x_ @ y_) / spread
    error = float(np.sum((y_ - slope * x_) ** 2))
    return Fit(float(x.mean()), float(y.mean()), slope, x.size, spread, error)


def _quantile(freedom: int) -> float:
    """The half-width of Student's 95 % interval in standard errors."""
    from scipy.special import stdtrit  # not scipy.stats, which takes a second to import

    return float(stdtrit(freedom, 1 - tail()))


def slope(x: Values, y: Values) -> Interval:
    """The slope of y over x by least squares, with its 95 % interval.

    NaN for fewer than two points, no interval for fewer than three.
    """
    line = fit(x, y)
    if line.points < 3 or math.isnan(line.slope):
        return UNKNOWN._replace(mean=line.slope)
    freedom = line.points - 2
    reach = _quantile(freedom) * math.sqrt(line.error / freedom / line.spread)
    return Interval(line.slope, line.slope - reach, line.slope + reach)


def exponent(x: Values, y: Values) -> Interval:
    """The exponent of y ~ x^exponent: the slope of log y over log x.

    NaN for fewer than two points, no interval for fewer than three.
    """
    return slope(np.log(np.asarray(x, float)), np.log(np.asarray(y, float)))


def crossing(
    x_first: Values, y_first: Values, x_second: Values, y_second: Values
) -> Interval:
    """The x at which two power laws, each fitted to its points, are equal.

    Its interval holds every x at which the two laws differ by no more than their errors
    allow (Fieller, 1954), assuming errors of the same size. It is 0 to infinity if the
    exponents cannot be told apart; without a fifth point the interval is NaN. The x may
    lie outside the points.
    """
    first, second = (
        fit(np.log(np.asarray(x, float)), np.log(np.asarray(y, float)))
        for x, y in ((x_first, y_first), (x_second, y_second))
    )
    steeper = first.slope - second.slope
    if math.isnan(steeper) or steeper == 0:
        return UNKNOWN
    level = first.height - first.slope * first.middle
    level -= second.height - second.slope * second.middle
    at = -level / steeper
    freedom = first.points + second.points - 4
    if freedom < 1:
        return UNKNOWN._replace(mean=_exp(at))
    # The difference d(x) = steeper x + level has the variance
    # error (1 / n + (x - middle)^2 / spread), summed over both lines: d(x)^2 is equal
    # to its allowance at the roots of a quadratic in x - at.
    allowed = _quantile(freedom) ** 2 * (first.error + second.error) / freedom
    lines = (first, second)
    square = steeper**2 - allowed * sum(1 / line.spread for line in lines)
    if square <= 0:
        return Interval(_exp(at), 0.0, math.inf)
    middle = allowed * sum((at - line.middle) / line.spread for line in lines)
    least = allowed * sum(
        1 / line.points + (at - line.middle) ** 2 / line.spread for line in lines
    )
    root = math.sqrt(middle**2 + square * least)
    low, high = ((middle + sign * root) / square for sign in (-1, 1))
    return Interval(_exp(at), _exp(at + low), _exp(at + high))


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf
