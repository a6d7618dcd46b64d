"""Curves over length: how far the quality of the start is kept."""

from collections.abc import Sequence

import numpy as np

from attn_research.analysis.statistics.samples import DRAWS, UNKNOWN
from attn_research.study import Interval


def break_point(
    length_T: Sequence[float],
    quality_PT: np.ndarray,
    tolerance: float,
    goal: str = "max",
    draws: int = DRAWS,
) -> Interval:
    """The last length up to which the mean over seeds stays near that at the first.

    Near is worse by no more than the tolerance; the last length of all where it never
    is. The interval is of bootstrap draws of the seeds.
    """
    lengths_T, quality_PT = np.asarray(length_T, float), np.asarray(quality_PT, float)
    if not quality_PT.size or not np.isfinite(quality_PT).all():
        return UNKNOWN
    worth_PT = quality_PT if goal == "max" else -quality_PT
    count = len(worth_PT)
    picks = np.random.default_rng(0).integers(0, count, (draws, count))
    curve_RT = np.concatenate(
        [worth_PT.mean(axis=0)[None], worth_PT[picks].mean(axis=1)]
    )
    near_RT = curve_RT >= curve_RT[:, :1] - tolerance
    kept_R = np.logical_and.accumulate(near_RT, axis=1).sum(axis=1)
    found_R = lengths_T[kept_R - 1]
    low, high = np.percentile(found_R[1:], [2.5, 97.5])
    return Interval(float(found_R[0]), float(low), float(high))
