"""Statistics of results, each with its uncertainty. Needs no JAX.

`samples` are values over seeds, `rows` are results of a study, `rates` are curves over
learning rates, `powers` power laws and their crossings, `scaling` the law of loss over
sizes, `lengths` curves over length, `solving` steps to a solution.
"""

from attn_research.analysis.statistics.lengths import break_point
from attn_research.analysis.statistics.powers import crossing, exponent, slope
from attn_research.analysis.statistics.rates import area, rate_curve, robustness
from attn_research.analysis.statistics.rows import (
    at_best_rate,
    best_row,
    by_distance,
    by_seed,
    growth,
    headline,
    inside,
    lead,
    level,
    middle,
    overtaken,
    ranked,
    reached,
    trained,
    worst,
)
from attn_research.analysis.statistics.samples import (
    UNKNOWN,
    mean_interval,
    order_holds,
    paired,
    pareto,
)
from attn_research.analysis.statistics.scaling import Scaling, scaling_law
from attn_research.analysis.statistics.solving import (
    Solved,
    steps_to_solution,
    survival_median,
)
from attn_research.studies.study import Interval, Row

__all__ = [
    "UNKNOWN",
    "Interval",
    "Row",
    "Scaling",
    "Solved",
    "area",
    "at_best_rate",
    "best_row",
    "mean_interval",
    "break_point",
    "by_distance",
    "by_seed",
    "crossing",
    "exponent",
    "growth",
    "headline",
    "inside",
    "lead",
    "level",
    "middle",
    "order_holds",
    "overtaken",
    "paired",
    "pareto",
    "rate_curve",
    "ranked",
    "reached",
    "robustness",
    "scaling_law",
    "slope",
    "steps_to_solution",
    "survival_median",
    "trained",
    "worst",
]
