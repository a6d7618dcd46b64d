"""What a sample says: means with intervals, paired differences, the order of two."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from attn_research.study import Interval

DRAWS = 2000
UNKNOWN = Interval(math.nan, math.nan, math.nan)


def bootstrap(values: Sequence[float], draws: int = DRAWS) -> Interval:
    """The mean with its percentile bootstrap interval; NaN values are left out.

    With fewer than two values the interval is the value itself (Efron, 1979).
    """
    kept = np.asarray([v for v in values if math.isfinite(v)], float)
    if kept.size == 0:
        return UNKNOWN
    picks = np.random.default_rng(0).integers(0, kept.size, (draws, kept.size))
    low, high = np.percentile(kept[picks].mean(axis=1), [2.5, 97.5])
    return Interval(float(kept.mean()), float(low), float(high))


def paired(
    first: Mapping[int, float], second: Mapping[int, float], draws: int = DRAWS
) -> Interval:
    """The mean of first - second over the seeds that both have, and its interval.

    What a seed does to both, its data and order of batches, cancels.
    """
    shared = sorted(first.keys() & second.keys())
    return bootstrap([first[seed] - second[seed] for seed in shared], draws)


def order_holds(
    first: Sequence[float], second: Sequence[float], draws: int = DRAWS
) -> float:
    """How often the order of two means stays what it is when seeds are drawn again.

    The share of bootstrap draws of both, a tie counting half: 1 is certain, 0.5 says
    nothing; NaN where one has fewer than two values, which cannot be drawn otherwise.
    """
    kept = [
        np.asarray([v for v in some if math.isfinite(v)]) for some in (first, second)
    ]
    if not all(some.size > 1 for some in kept):
        return math.nan
    rng = np.random.default_rng(0)
    drawn = [
        some[rng.integers(0, some.size, (draws, some.size))].mean(axis=1)
        for some in kept
    ]
    ahead = np.sign(drawn[0] - drawn[1])
    sign = np.sign(kept[0].mean() - kept[1].mean())
    return float(np.mean(ahead == sign) + np.mean(ahead == 0) / 2) if sign else 0.5


def pareto(
    cost: Sequence[float], quality: Sequence[float], goal: str = "max"
) -> list[bool]:
    """Which points no other beats: none is as cheap and as good, and better in one."""
    cost_R = np.asarray(cost, float)
    worth_R = np.asarray(quality, float) * (1.0 if goal == "max" else -1.0)
    cheap_RR, good_RR = (
        cost_R[:, None] <= cost_R,
        worth_R[:, None] >= worth_R,
    )
    equal_RR = cheap_RR & cheap_RR.T & good_RR & good_RR.T
    known_R = np.isfinite(cost_R) & np.isfinite(worth_R)
    beaten_R = (cheap_RR & good_RR & ~equal_RR & known_R[:, None]).any(axis=0)
    return list(known_R & ~beaten_R)
