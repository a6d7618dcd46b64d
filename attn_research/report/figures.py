"""Figures of one family: a `Plan` of what to draw, and the `Figure` drawn from it.

In the figures of a study each mixer has a series: the mean over seeds with its 95 %
interval, at the learning rate that validation chose.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from attn_research.report import limits
from attn_research.report.axes import TEXT, Series, lines, unit
from attn_research.report.styles import styles

TableRow = dict[str, Any]


class Plan(NamedTuple):
    """A figure to draw: one panel per key, with series as lines with bands.

    `levels` is a level of the panels that have one, and `level` what it is. `by` names
    what a line stands for: it is the header of that column of the table. If the places
    on the axis are categories, as heads and layers are, no line joins their points.
    `front` is max or min if the points are costs and what they buy: then a line is the
    Pareto front, and nothing joins the points of a series.
    """

    name: str
    title: str
    caption: str
    panels: dict[str, Series]
    x: str
    y: str
    log_x: bool = True
    log_y: bool = False
    levels: Mapping[str, float] = MappingProxyType({})
    by: str = "series"
    level: str = "chance"
    joined: bool = True
    front: str = ""


class Size(NamedTuple):
    """The size of a panel in inches, and of its text in points."""

    wide: float
    tall: float
    text: float


LARGE, SMALL = Size(3.7, 2.9, TEXT), Size(2.8, 1.9, 7.0)


class Figure(NamedTuple):
    """A drawn figure, its title and caption, and its numbers as rows of a table."""

    name: str
    title: str
    caption: str
    drawing: Any
    table: list[TableRow]


def draw(plan: Plan, size: Size = LARGE) -> Figure:
    """The figure of a plan: its panels side by side, on one scale."""
    from matplotlib.figure import Figure as Canvas

    every = {key: series for key, s in plan.panels.items() if (series := _finite(s))}
    panels, labels, cut = limits.panels(every)
    looks = styles(labels)
    columns = min(len(panels), 2) or 1
    tiers = math.ceil(len(panels) / columns) or 1
    wide = size.wide * columns + 0.5
    # An entry of the legend takes its handle and about 0.6 of its size a letter.
    entry = size.text * (0.078 + 0.0083 * max(map(len, labels), default=0))
    entries = max(1, min(4, len(labels), int(wide / entry)))
    rows = math.ceil(len(labels) / entries)
    tall = size.tall * tiers + size.text * (0.056 + 0.022 * rows)
    canvas = Canvas(figsize=(wide, tall), layout="constrained")
    axes = canvas.subplots(tiers, columns, squeeze=False, sharey=True).ravel()
    at = sorted({x for s in panels.values() for p in s.values() for x, _ in p})
    for axis, (key, series) in zip(axes, panels.items(), strict=False):
        lines(
            axis, series, plan.x, plan.y, log_x=plan.log_x, log_y=plan.log_y, at=at,
            looks=looks, level=plan.levels.get(key), named=plan.level,
            joined=plan.joined, text=size.text, front=plan.front,
        )  # fmt: skip
        axis.set_title(key, fontsize=size.text + 1)
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    for index, axis in enumerate(axes[: len(panels)]):
        if index % columns == 0:
            axis.set_ylabel(unit(plan.y), fontsize=size.text)
    handles = {
        h.get_label(): h
        for a in axes
        for h in a.get_lines()
        if h.get_marker() != "None"
    }
    canvas.legend(
        list(handles.values()), list(handles), loc="outside lower center",
        ncols=entries, fontsize=size.text, frameon=False,
    )  # fmt: skip
    return Figure(
        plan.name, plan.title, plan.caption + cut, canvas, _table(plan, every)
    )


def _table(plan: Plan, panels: dict[str, Series]) -> list[TableRow]:
    """Every point of a plan as a row."""
    return [
        {
            "panel": key,
            plan.by: label,
            plan.x: at,
            plan.y: mean,
            "low": low,
            "high": high,
        }
        for key, series in panels.items()
        for label, points in series.items()
        for at, (mean, low, high) in points
    ]


def _finite(series: Series) -> Series:
    """The finite points, of the series that have any."""
    finite = {
        label: [(at, value) for at, value in points if math.isfinite(value.mean)]
        for label, points in series.items()
    }
    return {label: points for label, points in finite.items() if points}
