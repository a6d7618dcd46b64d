"""Which figures the rows of a study can fill."""

import math
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from attn_research.analysis.statistics import Row
from attn_research.layout import CELLS
from attn_research.modules import pattern
from attn_research.report import figures, series
from attn_research.report.figures import Figure, Plan

Line = dict[str, Any]
COST_AXES = ("state_bytes", "flops", "step_seconds")
TITLES = {
    "state_bytes": "decoding state",
    "flops": "forward FLOPs",
    "step_seconds": "time of a step",
    "peak_bytes": "peak memory",
    "compile_seconds": "time of compiling",
}
LENGTH_COSTS = ("step_seconds", "flops", "peak_bytes", "state_bytes", "compile_seconds")


def prepared(rows: Sequence[Row]) -> list[Line]:
    """The rows with `mixer`, the pattern as a person writes it, and `start`.

    That is where the parameters came from: a run, or a cell of a study, by its name, or
    by its path where two have one name.
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
    """The name of a run, or of a study with the first letters of a cell of it."""
    *_, study, cells, run = ("", "", *PurePath(path).parts)
    return f"{study}/{run[:6]}" if cells == CELLS else run


def axes(rows: Sequence[Row]) -> list[str]:
    """The config fields that vary between cells, the pattern left out.

    An option of a task varies where it does within one task: what another task has
    there says its name. Which checkpoint of a run was taken is asked only of those that
    start from one.
    """
    groups = ("task", "model.", "train.", "init.")
    names = dict.fromkeys(n for row in rows for n in row if n.startswith(groups))
    left_out = ("model.pattern", "init.digest")

    def varies(name: str) -> bool:
        of_task = name.startswith("task.")
        of_source = name in ("init.member", "init.step")
        told: dict[str, set[str]] = {}
        for row in rows:
            if not of_source or row.get("init.path") is not None:
                part = row["task"] if of_task else ""
                told.setdefault(part, set()).add(str(row.get(name)))
        return any(len(values) > 1 for values in told.values())

    return [name for name in names if name not in left_out and varies(name)]


def plans(rows: Sequence[Row]) -> list[Plan]:
    """Every figure that these rows can fill, none of them drawn.

    Rows of several metrics have figures of their own for each: those of the first have
    the plain names.
    """
    by_metric = series.groups(rows, lambda row: row["metric"])
    made = [(metric, _plans(some)) for metric, some in by_metric.items()]
    (_, first), *others = made or [("", [])]
    return first + [
        plan._replace(name=f"{plan.name}_{metric}", title=f"{plan.title}: {metric}")
        for metric, own in others
        for plan in own
    ]


def _plans(rows: Sequence[Row]) -> list[Plan]:
    """The figures of rows of one metric."""
    metric, varying = rows[0]["metric"], axes(rows)
    numeric = [name for name in varying if _numeric(rows, name)]
    told = _sentence(figures.unit(metric))

    def panel(row: Row, without: str = "") -> str:
        return series.titled(row, [name for name in varying if name != without])

    def levels(without: str = "") -> dict[str, float]:
        told = metric in ("accuracy", "mse")
        return series.chances(rows, lambda row: panel(row, without)) if told else {}

    made: list[Plan] = []
    for name in numeric:
        short = name.split(".")[-1]
        made.append(
            Plan(
                f"quality_{short}",
                f"Quality against {short}",
                f"{told} on the test split, mean over seeds.",
                series.along(rows, name, lambda row, name=name: panel(row, name)),
                name,
                metric,
                levels=levels(name),
            )
        )
    by_position = "position", "Quality by position"
    if all(row.get("per_sequence") for row in rows):  # its answer is at its end
        by_position = "last position", "Quality by length"
    for table, x, title in (
        ("by_gap", "gap", "Quality by distance"),
        ("by_position", *by_position),
    ):
        panels = series.distance(rows, table, metric, panel)
        if any(len(points) > 1 for s in panels.values() for points in s.values()):
            caption = (
                f"{told} on the test split against the "
                f"{figures.unit(x)}, in bins of powers of two."
            )
            made.append(Plan(table, title, caption, panels, x, metric, levels=levels()))
    if len({row["lr"] for row in rows}) > 1:
        made.append(
            Plan(
                "learning_rate",
                "Quality against learning rate",
                "Mean over seeds at each learning rate. The area is the mean height "
                "over the logarithm of the rate: large where a mixer is easy to tune.",
                series.rates(rows, panel),
                "lr",
                metric,
                levels=levels(),
            )
        )
    for cost in COST_AXES:
        made.append(
            Plan(
                f"cost_{cost}",
                f"Quality against {TITLES[cost]}",
                f"One point per cell: {figures.unit(metric)} against "
                f"{figures.unit(cost)}.",
                series.against_cost(rows, cost, panel),
                cost,
                metric,
                levels=levels(),
            )
        )
    if "task.length" in numeric:
        for cost in LENGTH_COSTS:
            made.append(
                Plan(
                    f"length_{cost}",
                    f"{_sentence(TITLES[cost])} against length",
                    f"{_sentence(figures.unit(cost))} and the exponent of its growth.",
                    {"": series.cost_along(rows, "task.length", cost)},
                    "task.length",
                    cost,
                    log_y=True,
                )
            )
    return [plan for plan in made if _points(plan)]


def _points(plan: Plan) -> int:
    """How many points of a plan there are."""
    return sum(
        math.isfinite(value.mean)
        for panel in plan.panels.values()
        for points in panel.values()
        for _, value in points
    )


def drawings(rows: Sequence[Row]) -> list[Figure]:
    """Every figure that these rows can fill."""
    return [figures.draw(**plan._asdict()) for plan in plans(rows)]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _numeric(rows: Sequence[Row], name: str) -> bool:
    try:
        return all(math.isfinite(float(row[name])) for row in rows)
    except (TypeError, ValueError, KeyError):
        return False
