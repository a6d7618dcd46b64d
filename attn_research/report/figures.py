"""Figures of one family: what is shown, as a `Plan`, and drawn, as a `Figure`.

Every figure shows one series per mixer, as the mean over seeds with its 95 % bootstrap
interval, at the learning rate that validation chose.
"""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from attn_research.analysis.statistics import Interval
from attn_research.report.marks import Mark, marks

UNITS = {
    "accuracy": "accuracy (fraction)",
    "loss": "loss (nats)",
    "mse": "mean squared error",
    "bits_per_byte": "bits per byte",
    "lr": "peak learning rate",
    "task.length": "length (tokens)",
    "task.lag": "lag (tokens)",
    "model.width": "width (channels)",
    "model.layers": "layers",
    "state_bytes": "decoding state of one sequence (bytes)",
    "flops": "forward FLOPs of one sequence",
    "step_seconds": "time of one training step (s)",
    "compile_seconds": "time of compiling (s)",
    "peak_bytes": "predicted peak memory of the cell (bytes)",
    "parameters": "parameters",
    "gap": "distance to the information (tokens)",
    "position": "position in the sequence (tokens)",
    "last position": "last position of the sequence (tokens)",
    "distance": "distance (tokens)",
    "rarity": "surprisal of the answer by its frequency alone (nats)",
    "gradient": "norm of the gradient",
    "share": "share of the energy within the distance",
}
MARKERS = 24  # on one line; more would hide it
Series = dict[str, list[tuple[float, Interval]]]


class Plan(NamedTuple):
    """What `draw` draws: one panel per key; series as lines with bands.

    `by` says what each line stands for: it heads their column in the table.
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


class Size(NamedTuple):
    """Of a panel in inches, and of its text in points."""

    wide: float
    tall: float
    text: float


LARGE, SMALL = Size(3.7, 2.9, 9.0), Size(2.8, 1.9, 7.0)


class Figure(NamedTuple):
    """A drawn figure, what it shows in words, and its numbers as rows of a table."""

    name: str
    title: str
    caption: str
    drawing: Any
    table: list[dict[str, Any]]


def unit(name: str) -> str:
    """The label of an axis, with its unit."""
    return UNITS.get(name, name)


def draw(
    name: str,
    title: str,
    caption: str,
    panels: dict[str, Series],
    x: str,
    y: str,
    *,
    log_x: bool = True,
    log_y: bool = False,
    levels: Mapping[str, float] = MappingProxyType({}),
    by: str = "series",
    size: Size = LARGE,
) -> Figure:
    """One panel per key, side by side with one scale; series as lines with bands.

    `levels` has the level of chance of the panels that have one.
    """
    from matplotlib.figure import Figure as Canvas

    panels = {key: found for key, s in panels.items() if (found := _finite(s))}
    labels = list(dict.fromkeys(label for s in panels.values() for label in s))
    looks = marks(labels)
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
    table: list[dict[str, Any]] = []
    for axis, (key, series) in zip(axes, panels.items(), strict=False):
        lines(
            axis, series, x, y, log_x=log_x, log_y=log_y, at=at, looks=looks,
            level=levels.get(key), text=size.text,
        )  # fmt: skip
        table += [
            {"panel": key, by: label, x: at, y: m, "low": low, "high": high}
            for label, points in series.items()
            for at, (m, low, high) in points
        ]
        axis.set_title(key, fontsize=size.text + 1)
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    for index, axis in enumerate(axes[: len(panels)]):
        if index % columns == 0:
            axis.set_ylabel(unit(y), fontsize=size.text)
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
    return Figure(name, title, caption, canvas, table)


def lines(
    axis: Any,
    series: Series,
    x: str,
    y: str,
    *,
    log_x: bool = True,
    log_y: bool = False,
    at: Sequence[float] | None = None,
    looks: Mapping[str, Mark] | None = None,
    level: float | None = None,
    text: float = LARGE.text,
) -> Any:
    """The axis, with the series drawn on it as lines with bands; without a legend.

    `at` has the places of all panels that share a scale, `looks` the marks of all their
    series, and `level` is that of chance.
    """
    looks = marks(list(series)) if looks is None else looks
    if at is None:
        at = sorted({place for points in series.values() for place, _ in points})
    for label, points in series.items():
        _line(axis, label, looks[label], points)
    if level is not None:
        axis.axhline(level, color="#767676", linewidth=0.8, dashes=(4, 3))
        axis.annotate(
            "chance", (0.01, level), xycoords=("axes fraction", "data"),
            ha="left", va="bottom", fontsize=text - 1, color="#595959",
        )  # fmt: skip
    _scale(axis, x, y, list(at), log_x, log_y, text)
    return axis


def _finite(series: Series) -> Series:
    """The points that there are, of the series that have any."""
    kept = {
        label: [(at, value) for at, value in points if math.isfinite(value.mean)]
        for label, points in series.items()
    }
    return {label: points for label, points in kept.items() if points}


def _line(
    axis: Any, label: str, look: Mark, points: list[tuple[float, Interval]]
) -> None:
    at = [x for x, _ in points]
    axis.plot(
        at, [v.mean for _, v in points], label=label, color=look.color,
        marker=look.marker, linestyle=look.dash, markersize=5, linewidth=1.5,
        markevery=math.ceil(len(at) / MARKERS),
    )  # fmt: skip
    low, high = [v.low for _, v in points], [v.high for _, v in points]
    if len(points) == 1:  # a band of no width cannot be seen
        axis.vlines(at, low, high, color=look.color, linewidth=1.5, alpha=0.5)
    else:
        axis.fill_between(at, low, high, color=look.color, alpha=0.15, linewidth=0)


def _scale(
    axis: Any,
    x: str,
    y: str,
    at: list[float],
    log_x: bool,
    log_y: bool,
    text: float,
) -> None:
    if log_x and at and at[0] > 0:
        axis.set_xscale("log")
        axis.minorticks_off()
        # The middles of bins are no round numbers.
        if x in ("gap", "position", "last position", "distance"):
            first, last = (math.log2(value) for value in (at[0], at[-1]))
            at = [2.0**n for n in range(math.floor(first), math.ceil(last) + 1)]
    shown = ticks(at, log_x)
    # The first bin holds position or distance 0 alone, drawn where a log scale can.
    binned = x.endswith("position") or x == "gap"
    first = "0" if binned and shown[:1] == [0.5] else None
    labels = [short(value) for value in shown]
    axis.set_xticks(shown, [first or labels[0], *labels[1:]] if labels else [])
    if log_y:
        axis.set_yscale("log")
    elif y == "accuracy":
        axis.set_ylim(-0.03, 1.03)
    axis.set_xlabel(unit(x), fontsize=text)
    axis.tick_params(labelsize=text - 1)
    axis.grid(True, color="#e3e3e3", linewidth=0.6)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def ticks(values: Sequence[float], log: bool = True) -> list[float]:
    """Of sorted values those far enough apart for their labels: an eighth or more."""
    if not values:
        return []

    def place(value: float) -> float:
        return math.log(value) if log and values[0] > 0 else value

    space = (place(values[-1]) - place(values[0])) / 8
    kept = [values[0]]
    for value in values[1:]:
        if place(value) - place(kept[-1]) > max(space, 1e-9):
            kept.append(value)
    return kept


def short(value: float) -> str:
    """A number as the label of a tick: 0.001, 512, 16k, 2.1M."""
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= max(size, 10_000):
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"
