"""Which figures the rows of a study can fill, and the small tables under them."""

import math
from collections.abc import Sequence
from typing import Any

from attn_research.analysis import statistics as stats
from attn_research.analysis.statistics import Row
from attn_research.modules import pattern
from attn_research.report import figures
from attn_research.report.figures import Figure, draw
from attn_research.report.words import between

Line = dict[str, Any]
COST_AXES = ("state_bytes", "flops", "step_seconds")
TITLES = {
    "state_bytes": "decoding state",
    "flops": "forward FLOPs",
    "step_seconds": "time of a step",
    "peak_bytes": "peak memory",
}


def prepared(rows: Sequence[Row]) -> list[Line]:
    """The rows with `mixer`, the pattern as a person writes it."""
    return [{**row, "mixer": pattern.brief(row["model.pattern"])} for row in rows]


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


def drawings(rows: Sequence[Row]) -> list[Figure]:
    """Every figure that these rows can fill."""
    if not rows:
        return []
    metric, varying = rows[0]["metric"], axes(rows)
    numeric = [name for name in varying if _numeric(rows, name)]
    told = _sentence(figures.unit(metric))

    def panel(row: Row, without: str = "") -> str:
        shown = [n for n in varying if n != without and n in row]
        return ", ".join(f"{n.split('.')[-1]} {row[n]}" for n in shown)

    def levels(without: str = "") -> dict[str, float]:
        told = metric in ("accuracy", "mse")
        return figures.chances(rows, lambda row: panel(row, without)) if told else {}

    made: list[Figure] = []
    for name in numeric:
        short = name.split(".")[-1]
        made.append(
            draw(
                f"quality_{short}",
                f"Quality against {short}",
                f"{told} on the test split, mean over seeds.",
                figures.along(rows, name, lambda row, name=name: panel(row, name)),
                name,
                metric,
                levels=levels(name),
            )
        )
    for table, x, title in (
        ("by_gap", "gap", "Quality by distance"),
        ("by_position", "position", "Quality by position"),
    ):
        series = figures.distance(rows, table, metric, panel)
        if any(len(points) > 1 for s in series.values() for points in s.values()):
            caption = (
                f"{told} on the test split against the "
                f"{figures.unit(x)}, in bins of powers of two."
            )
            made.append(draw(table, title, caption, series, x, metric, levels=levels()))
    if len({row["lr"] for row in rows}) > 1:
        made.append(
            draw(
                "learning_rate",
                "Quality against learning rate",
                "Mean over seeds at each learning rate. The area is the mean height "
                "over the logarithm of the rate: large where a mixer is easy to tune.",
                figures.rates(rows, panel),
                "lr",
                metric,
                levels=levels(),
            )
        )
    for cost in COST_AXES:
        made.append(
            draw(
                f"cost_{cost}",
                f"Quality against {TITLES[cost]}",
                f"One point per cell: {figures.unit(metric)} against "
                f"{figures.unit(cost)}.",
                figures.against_cost(rows, cost, panel),
                cost,
                metric,
                levels=levels(),
            )
        )
    if "task.length" in numeric:
        for cost in ("step_seconds", "peak_bytes", "state_bytes"):
            made.append(
                draw(
                    f"length_{cost}",
                    f"{TITLES[cost].capitalize()} against length",
                    f"{_sentence(figures.unit(cost))} and the exponent of its growth.",
                    {"": figures.cost_along(rows, "task.length", cost)},
                    "task.length",
                    cost,
                    log_y=True,
                )
            )
    return [figure for figure in made if figure.table]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _numeric(rows: Sequence[Row], name: str) -> bool:
    try:
        return all(math.isfinite(float(row[name])) for row in rows)
    except (TypeError, ValueError, KeyError):
        return False


def summary(figure: Figure, rows: Sequence[Row]) -> list[Line]:
    """A small table under a figure: areas, or exponents of growth."""
    series: dict[tuple[str, str], list[Line]] = {}
    for point in figure.table:
        series.setdefault((point["panel"], point["series"]), []).append(point)
    lines: list[Line] = []
    for (panel, label), points in series.items():
        x, y = list(points[0])[2:4]
        shown = {"panel": panel} if panel else {}
        if figure.name == "learning_rate":
            curve = {p[x]: stats.Interval(p[y], p["low"], p["high"]) for p in points}
            best = max if rows[0]["goal"] == "max" else min
            top = best(points, key=lambda point: point[y])
            lines.append(
                {**shown, "mixer": label, "best rate": top[x], "at best rate": top[y],
                 "area": stats.area(curve)}
            )  # fmt: skip
        elif figure.name.startswith("length_"):
            kept = [(p[x], p[y]) for p in points if p[y] > 0]
            slope = stats.exponent(*zip(*kept, strict=True)) if len(kept) > 1 else None
            if slope:
                lines.append(
                    {"mixer": label, "exponent": slope.mean, "95 %": between(slope)}
                )
    return lines
