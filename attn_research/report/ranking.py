"""The mixers of a study, best first, and how certain their order is."""

import math
from collections.abc import Sequence

from attn_research.analysis import statistics as stats
from attn_research.analysis.statistics import Row
from attn_research.report.figures import TableRow
from attn_research.report.formatting import between
from attn_research.report.plans import axes, prepare
from attn_research.report.series import group_by, titled


def of_study(rows: Sequence[Row]) -> list[TableRow]:
    """The ranking of the rows of a study as `studies.store` returns them."""
    return ranking(prepare(rows))


def ranking(rows: Sequence[Row]) -> list[TableRow]:
    """A row per mixer of every setting with more than one, at their best rates.

    Each is compared with the next at equal seeds. Steps to a solution are listed if any
    member has one.
    """
    names = axes(rows)
    several = len({row["metric"] for row in rows}) > 1
    solved = any(row.get("solved_step") is not None for row in rows)
    lines: list[TableRow] = []
    for setting, part in group_by(rows, lambda row: titled(row, names)).items():
        mixers = group_by(part, lambda row: row["mixer"])
        best = {name: stats.at_best_rate(some) for name, some in mixers.items()}
        values = {name: stats.by_seed(some) for name, some in best.items()}
        means = {
            name: stats.mean_interval(list(some.values()))
            for name, some in values.items()
        }
        metric, sign = part[0]["metric"], 1.0 if part[0]["goal"] == "max" else -1.0
        known = [name for name, mean in means.items() if math.isfinite(mean.mean)]
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
                "seeds": len(values[name]),
                **_ahead(values, name, after, sign),
            }
            if solved:
                steps = stats.steps_to_solution(best[name])
                median = steps.median.mean
                line["solved"] = f"{steps.solved} of {steps.members}"
                line["median steps"] = "not solved" if math.isinf(median) else median
            lines.append(line)
    return lines


def _ahead(
    values: dict[str, dict[int, float]], name: str, after: str | None, sign: float
) -> TableRow:
    """The lead of a mixer over the next, and the confidence in their order."""
    if after is None:
        return {"lead over the next": "", "95 % of the lead": "", "order holds": ""}
    gap = stats.paired(
        {seed: sign * value for seed, value in values[name].items()},
        {seed: sign * value for seed, value in values[after].items()},
    )
    held = stats.order_holds(values[name], values[after])
    return {
        "lead over the next": gap.mean,
        "95 % of the lead": between(gap),
        "order holds": "" if math.isnan(held) else f"{held:.0%}",
    }
