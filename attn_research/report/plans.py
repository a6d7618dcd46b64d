"""The figures that the rows of a study can fill."""

import math
from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import Any

from attn_research.analysis.statistics import Row
from attn_research.host.layout import CELLS
from attn_research.modules import pattern
from attn_research.report import series
from attn_research.report.axes import unit
from attn_research.report.figures import Plan

COST_AXES = ("state_bytes", "flops", "step_seconds")
TITLES = {
    "state_bytes": "decoding state",
    "flops": "forward FLOPs",
    "step_seconds": "step time",
    "peak_bytes": "peak memory",
    "compile_seconds": "compile time",
}
LENGTH_COSTS = ("step_seconds", "flops", "peak_bytes", "state_bytes", "compile_seconds")


def prepare(rows: Sequence[Row]) -> list[Row]:
    """The rows with `mixer`, the brief form of the pattern, and `start`.

    `start` is the source of the initial parameters: a run, or a cell of a study, by its
    name, or by its path if two have the same name.
    """
    paths = {row["init.path"] for row in rows if row.get("init.path") is not None}
    names = [_brief(path) for path in paths]
    starts: dict[Any, str] = {None: "from scratch"}
    for path in paths:
        brief = _brief(path)
        starts[path] = f"from {path if names.count(brief) > 1 else brief}"
    return [
        {
            **row,
            "mixer": pattern.brief(row["model.pattern"]),
            "start": starts[row.get("init.path")],
        }
        for row in rows
    ]


def _brief(path: str) -> str:
    """The name of a run, or of a study with the first letters of its cell."""
    *_, study, cells, run = ("", "", *PurePath(path).parts)
    return f"{study}/{run[:6]}" if cells == CELLS else run


def axes(rows: Sequence[Row]) -> list[str]:
    """The config fields that vary between cells, except the pattern.

    An option of a task counts if it varies within one task: between tasks the task's
    name says it. The member and step of a start count only among cells that start from
    a run.
    """
    groups = ("task", "model.", "train.", "init.")
    names = dict.fromkeys(n for row in rows for n in row if n.startswith(groups))
    left_out = ("model.pattern", "init.digest")

    def varies(name: str) -> bool:
        of_task = name.startswith("task.")
        of_source = name in ("init.member", "init.step")
        values: dict[str, set[str]] = {}
        for row in rows:
            if not of_source or row.get("init.path") is not None:
                part = row["task"] if of_task else ""
                values.setdefault(part, set()).add(str(row.get(name)))
        return any(len(some) > 1 for some in values.values())

    return [name for name in names if name not in left_out and varies(name)]


def of_rows(rows: Sequence[Row]) -> list[Plan]:
    """A plan of every figure that these rows can fill.

    Each metric has its own figures; those of the first have the plain names.
    """
    by_metric = series.group_by(rows, lambda row: row["metric"])
    plans = [(metric, _plans(some)) for metric, some in by_metric.items()]
    (_, first), *others = plans or [("", [])]
    return first + [
        plan._replace(name=f"{plan.name}_{metric}", title=f"{plan.title}: {metric}")
        for metric, some in others
        for plan in some
    ]


def _plans(rows: Sequence[Row]) -> list[Plan]:
    """The figures of rows of one metric."""
    metric, varying = rows[0]["metric"], axes(rows)
    numeric = [name for name in varying if _numeric(rows, name)]
    headline = sentence(unit(metric))

    panel = panelled(rows)
    chance = levels(rows, metric, panel)
    plans: list[Plan] = []
    for name in numeric:
        short = name.split(".")[-1]
        others = panelled(rows, without=name)
        plans.append(
            Plan(
                f"quality_{short}",
                f"Quality against {short}",
                f"{headline} on the test split, mean over {seeds(rows)}.",
                series.along(rows, name, others),
                name,
                metric,
                levels=levels(rows, metric, others),
            )
        )
    by_position = "position", "Quality by position"
    if all(row.get("per_sequence") for row in rows):  # the answer is at the end
        by_position = "last position", "Quality by length"
    for table, x, title in (
        ("by_gap", "gap", "Quality by distance"),
        ("by_position", *by_position),
    ):
        panels = series.distance(rows, table, metric, panel)
        if any(len(points) > 1 for s in panels.values() for points in s.values()):
            caption = (
                f"{headline} on the test split against the "
                f"{unit(x)}, in bins of powers of two; mean over {seeds(rows)}."
            )
            plans.append(Plan(table, title, caption, panels, x, metric, levels=chance))
    if len({row["lr"] for row in rows}) > 1:
        plans.append(
            Plan(
                "learning_rate",
                "Quality against learning rate",
                f"Mean over {seeds(rows)} at each learning rate. The area is the mean "
                "height over the logarithm of the rate: a mixer with a better area is "
                "easier to tune.",
                series.rates(rows, panel),
                "lr",
                metric,
                levels=chance,
            )
        )
    for cost in COST_AXES:
        plans.append(
            Plan(
                f"cost_{cost}",
                f"Quality against {TITLES[cost]}",
                f"One point per cell: {unit(metric)} against "
                f"{unit(cost)}; mean over {seeds(rows)}. The line is the "
                "Pareto front: nothing is both better and cheaper.",
                series.against_cost(rows, cost, panel),
                cost,
                metric,
                levels=chance,
                front=rows[0]["goal"],
            )
        )
    if "task.length" in numeric:
        for cost in LENGTH_COSTS:
            plans.append(
                Plan(
                    f"length_{cost}",
                    f"{sentence(TITLES[cost])} against length",
                    f"{sentence(unit(cost))} against length, with the "
                    "exponent of its growth.",
                    {"": series.cost_along(rows, "task.length", cost)},
                    "task.length",
                    cost,
                    log_y=True,
                )
            )
    return [plan for plan in plans if _points(plan)]


def panelled(rows: Sequence[Row], without: str = "") -> Callable[[Row], str]:
    """The panel of a row: the fields that vary between cells, but for the mixer."""
    names = [name for name in axes(rows) if name != without]
    return lambda row: series.titled(row, names)


def levels(
    rows: Sequence[Row], metric: str, panel: Callable[[Row], str]
) -> dict[str, float]:
    """The level of chance of the panels that have one."""
    return series.chances(rows, panel) if metric in ("accuracy", "mse") else {}


def seeds(rows: Sequence[Row]) -> str:
    """How many seeds an interval is of: `3 seeds`, `2 to 5 seeds`."""
    groups = series.group_by(rows, lambda row: row["cell"]).values()
    counts = sorted({len({row.get("seed") for row in some}) for some in groups})
    if len(counts) > 1:
        return f"{counts[0]} to {counts[-1]} seeds"
    return f"{counts[0]} seeds" if counts[0] > 1 else "one seed, which has no interval"


def _points(plan: Plan) -> int:
    """The number of points of a plan that can be drawn."""
    return sum(
        math.isfinite(value.mean)
        for panel in plan.panels.values()
        for points in panel.values()
        for _, value in points
    )


def sentence(text: str) -> str:
    """The text with a capital letter."""
    return text[:1].upper() + text[1:]


def _numeric(rows: Sequence[Row], name: str) -> bool:
    try:
        return all(math.isfinite(float(row[name])) for row in rows)
    except (TypeError, ValueError, KeyError):
        return False
