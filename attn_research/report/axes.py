"""One pair of axes of a figure: the series on it, their scales, units and labels."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from attn_research.analysis.statistics import Interval, pareto
from attn_research.report.styles import Style, styles

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
    "compile_seconds": "compile time (s)",
    "peak_bytes": "predicted peak memory of the cell (bytes)",
    "parameters": "parameters",
    "step": "training steps",
    "gap": "distance to the information (tokens)",
    "position": "position in the sequence (tokens)",
    "last position": "last position of the sequence (tokens)",
    "distance": "distance (tokens)",
    "rarity": "surprisal of the answer by its frequency (nats)",
    "gradient": "norm of the gradient",
    "share": "share of the energy within the distance",
}
# The best that can be reached, drawn as a dotted line.
CEILINGS = {"accuracy": 1.0, "exact_match": 1.0, "macro_f1": 1.0, "words_f1": 1.0}
TEXT = 9.0  # points of a letter
MARKERS = 24  # on one line; more would hide it
BESIDE = 0.6  # of the room of one category, for the points of all series
Series = dict[str, list[tuple[float, Interval]]]


def unit(name: str) -> str:
    """The label of an axis, with its unit."""
    return UNITS.get(name, name)


def lines(
    axis: Any,
    series: Series,
    x: str,
    y: str,
    *,
    log_x: bool = True,
    log_y: bool = False,
    at: Sequence[float] | None = None,
    looks: Mapping[str, Style] | None = None,
    level: float | None = None,
    named: str = "chance",
    joined: bool = True,
    text: float = TEXT,
    front: str = "",
) -> Any:
    """The axis, with the series drawn on it as lines with bands; without a legend.

    `at` are the abscissae of all panels that share a scale, `looks` the styles of all
    their series, and `level` is that of chance, or of what is `named`. Unless they are
    `joined`, the series are points with bars, side by side. `front` is the goal of the
    points of a cost (see `Plan`).
    """
    looks = styles(list(series)) if looks is None else looks
    if at is None:
        at = sorted({place for points in series.values() for place, _ in points})
    here: dict[float, list[str]] = {}  # the series that have a point at each place
    for label, points in series.items():
        for place, _ in points:
            here.setdefault(place, []).append(label)
    for label, points in series.items():
        if front:
            _points(axis, label, looks[label], points, {})
        elif joined:
            _line(axis, label, looks[label], points)
        else:
            _points(axis, label, looks[label], points, here)
    if front:
        _front(axis, series, front)
    if y in CEILINGS:
        axis.axhline(CEILINGS[y], color="#767676", linewidth=0.8, dashes=(1, 2))
    if level is not None:
        axis.axhline(level, color="#767676", linewidth=0.8, dashes=(4, 3))
        axis.annotate(
            named, (0.01, level), xycoords=("axes fraction", "data"),
            ha="left", va="bottom", fontsize=text - 1, color="#595959",
        )  # fmt: skip
    _scale(axis, x, y, list(at), log_x, log_y, text)
    return axis


def _line(
    axis: Any, label: str, look: Style, points: list[tuple[float, Interval]]
) -> None:
    at = [x for x, _ in points]
    axis.plot(
        at, [v.mean for _, v in points], label=label, color=look.color,
        marker=look.marker, linestyle=look.dash, markersize=5, linewidth=1.5,
        markevery=math.ceil(len(at) / MARKERS),
    )  # fmt: skip
    low, high = [v.low for _, v in points], [v.high for _, v in points]
    if len(points) == 1:  # a band without width would be invisible
        axis.vlines(at, low, high, color=look.color, linewidth=1.5, alpha=0.5)
    else:
        axis.fill_between(at, low, high, color=look.color, alpha=0.15, linewidth=0)


def _points(
    axis: Any,
    label: str,
    look: Style,
    points: list[tuple[float, Interval]],
    here: Mapping[float, Sequence[str]],
) -> None:
    """Points with their intervals as bars, beside those of other series `here`."""
    at = [
        x
        + (BESIDE * ((here[x].index(label) + 0.5) / len(here[x]) - 0.5) if here else 0)
        for x, _ in points
    ]
    axis.plot(
        at, [v.mean for _, v in points], label=label, color=look.color,
        marker=look.marker, linestyle="none", markersize=5,
    )  # fmt: skip
    low, high = [v.low for _, v in points], [v.high for _, v in points]
    axis.vlines(at, low, high, color=look.color, linewidth=1.5, alpha=0.5)


def _front(axis: Any, series: Series, goal: str) -> None:
    """The Pareto front of all points: steps from each to the next that is better."""
    points = sorted(
        ((x, value.mean) for some in series.values() for x, value in some),
        key=lambda point: point[0],
    )
    optimal = pareto([x for x, _ in points], [y for _, y in points], goal)
    best = [point for point, keep in zip(points, optimal, strict=True) if keep]
    if len(points) > 1:
        best.append((points[-1][0], best[-1][1]))  # what costs more buys no less
        axis.step(
            [x for x, _ in best], [y for _, y in best], where="post",
            color="#767676", linewidth=1.0, zorder=0,
        )  # fmt: skip


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
        # The middles of bins are not round numbers.
        if x in ("gap", "position", "last position", "distance"):
            first, last = (math.log2(value) for value in (at[0], at[-1]))
            at = [2.0**n for n in range(math.floor(first), math.ceil(last) + 1)]
    shown = ticks(at, log_x)
    # The first bin holds only position or distance 0, at 0.5 on a logarithmic scale.
    binned = x.endswith("position") or x == "gap"
    first = "0" if binned and shown[:1] == [0.5] else None
    labels = [short(value) for value in shown]
    axis.set_xticks(shown, [first or labels[0], *labels[1:]] if labels else [])
    if log_y:
        axis.set_yscale("log")
    elif y == "accuracy":
        axis.set_ylim(-0.03, 1.04)
    axis.set_xlabel(unit(x), fontsize=text)
    axis.tick_params(labelsize=text - 1)
    axis.grid(True, color="#e3e3e3", linewidth=0.6)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def ticks(values: Sequence[float], log: bool = True) -> list[float]:
    """The sorted values that are far enough apart for labels: an eighth or more."""
    if not values:
        return []

    def place(value: float) -> float:
        return math.log(value) if log and values[0] > 0 else value

    space = (place(values[-1]) - place(values[0])) / 8
    spaced = [values[0]]
    for value in values[1:]:
        if place(value) - place(spaced[-1]) > max(space, 1e-9):
            spaced.append(value)
    return spaced


def short(value: float) -> str:
    """A number as a tick label: 0.001, 512, 16k, 2.1M."""
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= max(size, 10_000):
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"
