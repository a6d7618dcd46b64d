"""The number of steps to a solution, if some members never find one."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import betaincinv

from attn_research.analysis.statistics.samples import UNKNOWN
from attn_research.studies.confidence import tail
from attn_research.studies.study import Interval, Row

ROUNDING = 1e-12


class Solved(NamedTuple):
    """The median of the steps to a solution, and the number of members with one."""

    median: Interval
    solved: int
    members: int


def steps_to_solution(rows: Sequence[Row]) -> Solved:
    """The median over members; a member that stopped unsolved is censored there.

    A diverged member would never have solved it: it is censored at the end of its
    budget.
    """
    step_P, solved_P = [], []
    for row in rows:
        solved = row.get("solved_step") is not None
        budget = row.get("train.steps") or row["step"]
        lost = row["status"] == "diverged"
        step_P.append(row["solved_step"] if solved else budget if lost else row["step"])
        solved_P.append(solved)
    return Solved(survival_median(step_P, solved_P), sum(solved_P), len(solved_P))


def survival_median(time_P: Sequence[float], event_P: Sequence[bool]) -> Interval:
    """The median time of an event if some times are censored (False).

    From the estimate of Kaplan & Meier, 1958. The interval holds the times at which the
    95 % interval of the estimate contains a half. That is the beta product interval
    (Fay, Brittain & Proschan, 2013, doi:10.1093/biostatistics/kxt016), which is Clopper
    and Pearson's if nothing is censored and holds the true median in at least 95 of 100
    samples: 0 to infinity below six events, which cannot bound a median.
    """
    times_P, events_P = np.asarray(time_P, float), np.asarray(event_P, bool)
    if not times_P.size:
        return UNKNOWN
    median = {"mean": math.inf, "low": math.inf, "high": math.inf}
    survived, product = 1.0, Beta(1.0, 1.0)
    for time in (0.0, *np.unique(times_P[events_P])):
        risk = int(np.sum(times_P >= time))
        events = int(np.sum((times_P == time) & events_P)) if time else 0
        survived *= 1 - events / risk
        product = product.times(risk - events + 1, events)
        left = int(np.sum(times_P > time))
        # The next event may come at once: its part belongs to the lower bound alone.
        bounds = [survived, product.times(left, 1).quantile(tail())]
        bounds.append(product.quantile(1 - tail()))
        for name, bound in zip(median, bounds, strict=True):
            if bound <= 0.5 + ROUNDING:
                median[name] = min(median[name], float(time))
    return Interval(**median)


class Beta(NamedTuple):
    """A product of independent beta variables by its first two moments."""

    mean: float
    square: float

    def times(self, a: float, b: float) -> "Beta":
        """The product with a beta variable; B(a, 0) is 1 and B(0, b) is 0."""
        if b == 0:
            return self
        mean = a / (a + b)
        return Beta(self.mean * mean, self.square * mean * (a + 1) / (a + b + 1))

    def quantile(self, share: float) -> float:
        """The quantile of the beta variable with these moments."""
        variance = self.square - self.mean**2
        if variance <= 0:
            return self.mean
        total = self.mean * (1 - self.mean) / variance - 1
        return float(betaincinv(total * self.mean, total * (1 - self.mean), share))
