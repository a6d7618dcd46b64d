"""Curves over length: the length up to which quality stays as at the start."""

import math
from collections.abc import Sequence

import numpy as np

from attn_research.analysis.statistics.samples import UNKNOWN, mean_interval
from attn_research.studies.study import Interval

ROUNDING = 1e-12  # of a difference of two qualities


def break_point(
    length_T: Sequence[float],
    quality_PT: np.ndarray,
    tolerance: float,
    goal: str = "max",
) -> Interval:
    """The last length up to which the mean over seeds stays near that of the first.

    Near is at most `tolerance` worse. The interval goes from the last length up to
    which the whole 95 % interval of the loss against the first length, over seeds, is
    near, to the last one up to which a part of it is; it is NaN for a single seed.
    """
    lengths_T, quality_PT = np.asarray(length_T, float), np.asarray(quality_PT, float)
    if not quality_PT.size or not np.isfinite(quality_PT).all():
        return UNKNOWN
    worth_PT = quality_PT if goal == "max" else -quality_PT
    lost_PT = worth_PT[:, :1] - worth_PT
    intervals = [mean_interval(list(lost_P)) for lost_P in lost_PT.T]

    def last(bound_T: Sequence[float]) -> float:
        near_T = np.asarray(bound_T) <= tolerance + ROUNDING
        return float(lengths_T[max(1, np.logical_and.accumulate(near_T).sum()) - 1])

    mean, high, low = (last([one[i] for one in intervals]) for i in range(3))
    if len(worth_PT) < 2:
        return Interval(mean, math.nan, math.nan)
    return Interval(mean, low, high)
