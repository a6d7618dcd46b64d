"""How many steps a solution takes, where some members never find one."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from attn_research.analysis.statistics.samples import UNKNOWN
from attn_research.study import Interval, Row

ROUNDING = 1e-12


class Solved(NamedTuple):
    """The median of the steps to a solution, and how many members found one."""

    median: Interval
    solved: int
    members: int


def steps_to_solution(rows: Sequence[Row]) -> Solved:
    """The median over members, one that stopped unsolved counting as not solved so far.

    One that diverged would never have: it counts as unsolved to the end of its budget.
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
    """The median time of an event where some times are censored (False).

    Of the estimate of Kaplan & Meier, 1958; the interval holds the times at which its
    interval on the scale log(-log S) holds a half (Brookmeyer & Crowley, 1982), and is
    infinite where too few events are seen.
    """
    times_P, events_P = np.asarray(time_P, float), np.asarray(event_P, bool)
    if not times_P.size:
        return UNKNOWN
    survived, variance = 1.0, 0.0
    found = {"mean": math.inf, "low": math.inf, "high": math.inf}
    for time in np.unique(times_P[events_P]):
        risk, events = np.sum(times_P >= time), np.sum((times_P == time) & events_P)
        survived *= 1 - events / risk
        if survived > 0:
            variance += events / (risk * (risk - events))
            scale = math.log(-math.log(survived))
            reach = 1.96 * math.sqrt(variance) / -math.log(survived)
            ends = (math.exp(-math.exp(scale + sign * reach)) for sign in (1, -1))
            bounds = [survived, *ends]
        else:  # nobody is left: the variance of the last step is not known
            bounds = [0.0, 0.0, 1.0]
        for name, bound in zip(found, bounds, strict=True):
            if bound <= 0.5 + ROUNDING:
                found[name] = min(found[name], float(time))
    return Interval(**found)
