"""The mixers of a study from the best on, and how certain their order is."""

import math
from collections.abc import Sequence
from typing import Any

from attn_research.analysis import statistics as stats
from attn_research.analysis.statistics import Row
from attn_research.report.drawings import axes
from attn_research.report.series import groups, titled
from attn_research.report.words import between

Line = dict[str, Any]


def ranking(rows: Sequence[Row]) -> list[Line]:
    """A line per mixer of every setting with more than one, at their best rates.

    Each is compared with the next at equal seeds. Steps to a solution are told where
    any member has found one.
    """
    names = axes(rows)
    several = len({row["metric"] for row in rows}) > 1
    solved = any(row.get("solved_step") is not None for row in rows)
    lines: list[Line] = []
    for setting, part in groups(rows, lambda row: titled(row, names)).items():
        mixers = groups(part, lambda row: row["mixer"])
        best = {name: stats.at_best_rate(own) for name, own in mixers.items()}
        values = {name: stats.by_seed(own) for name, own in best.items()}
        means = {
            name: stats.bootstrap(list(own.values())) for name, own in values.items()
        }
        metric, sign = part[0]["metric"], 1.0 if part[0]["goal"] == "max" else -1.0
        known = [name for name, found in means.items() if math.isfinite(found.mean)]
        order = sorted(known, key=lambda name: -sign * means[name].mean)
        if len(order) < 2:
            continue
        for name, after in zip(order, [*order[1:], None], strict=True):
            line = {
                **({"setting": setting} if setting else {}),
                "mixer": name,
                **({"metric": metric} if several else {}),
                "quality" if several else metric: means[name].mean,
                "95 %": between(means[name]),
                **_ahead(values, name, after, sign),
            }
            if solved:
                found = stats.steps_to_solution(best[name])
                line["solved"] = f"{found.solved} of {found.members}"
                line["median steps"] = found.median.mean
            lines.append(line)
    return lines


def _ahead(
    values: dict[str, dict[int, float]], name: str, after: str | None, sign: float
) -> Line:
    """How far a mixer is ahead of the next, and how often so when seeds are drawn."""
    if after is None:
        return {"ahead of the next by": "", "its 95 %": "", "order holds": ""}
    gap = stats.paired(
        {seed: sign * value for seed, value in values[name].items()},
        {seed: sign * value for seed, value in values[after].items()},
    )
    held = stats.order_holds(list(values[name].values()), list(values[after].values()))
    return {
        "ahead of the next by": gap.mean,
        "its 95 %": between(gap),
        "order holds": "" if math.isnan(held) else f"{held:.0%}",
    }
