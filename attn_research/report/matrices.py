"""Matrices of outputs by inputs as images, one panel each."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from attn_research.report.figures import Figure, TableRow

LABELLED = 40  # tokens at most that are written along the axes
MANY = 64 * 64  # numbers; beyond, the few largest would leave all others dark
BRIGHT = 0.995  # the fraction of many numbers within the scale
INPUT, OUTPUT = "input s (tokens)", "output t (tokens)"


class Images(NamedTuple):
    """A figure to draw: one matrix per panel, all with the same labels.

    `labels` are those of the inputs, and of the outputs unless `outputs` are given. If
    rows and columns are spans of tokens, `tokens` is the number of tokens. `scale` is
    what the colours stand for.
    """

    name: str
    title: str
    caption: str
    panels: Mapping[str, np.ndarray]
    labels: Sequence[str] | None = None
    x: str = INPUT
    y: str = OUTPUT
    tokens: int | None = None
    outputs: Sequence[str] | None = None
    scale: str | None = None


def image(
    axis: Any,
    weight_TS: np.ndarray,
    labels: Sequence[str] | None = None,
    *,
    x: str = INPUT,
    y: str = OUTPUT,
    tokens: int | None = None,
    outputs: Sequence[str] | None = None,
    scale: str | None = None,
) -> Any:
    """The axis, with the matrix drawn on it; complex numbers by their modulus.

    Numbers of both signs get a scale of two colours around zero. A few `labels` are
    written along both axes; `outputs`, if given, along the second one.
    """
    weight_TS = real(weight_TS)
    largest = top = float(np.nanmax(np.abs(weight_TS))) or 1.0
    if weight_TS.size > MANY:
        top = float(np.nanquantile(np.abs(weight_TS), BRIGHT)) or largest
    signed = bool(np.nanmin(weight_TS) < -1e-6 * largest)
    height, width = weight_TS.shape
    last = (tokens or width) - 0.5, (tokens or height) - 0.5
    picture = axis.imshow(
        weight_TS,
        cmap="PuOr_r" if signed else "cividis",
        vmin=-top if signed else 0.0,
        vmax=top,
        interpolation="nearest",
        aspect="equal",
        extent=(-0.5, last[0], last[1], -0.5),
    )
    axis.set_xlabel(x, fontsize=9)
    axis.set_ylabel(y, fontsize=9)
    axis.tick_params(labelsize=8)
    if labels is not None and len(labels) <= LABELLED:
        long = max(map(len, labels), default=0) > 2
        look: dict[str, Any] = {"fontsize": 8 if long else 6, "family": "monospace"}
        axis.set_xticks(range(len(labels)), labels, rotation=90 if long else 0, **look)
        if outputs is None and len(labels) == height:
            outputs = labels
        if outputs is not None:
            axis.set_yticks(range(len(outputs)), outputs, **look)
    beyond = {(False, False): "neither", (True, False): "max", (True, True): "both"}
    extend = beyond[largest > top, signed and largest > top]
    bar = axis.figure.colorbar(picture, ax=axis, shrink=0.8, extend=extend)
    bar.ax.tick_params(labelsize=8)
    bar.set_label(scale or "", fontsize=8)
    return axis


def draw(images: Images) -> Figure:
    """The figure of matrices, two side by side; its table has a row per output."""
    from matplotlib.figure import Figure as Canvas

    panels, labels, outputs = images.panels, images.labels, images.outputs
    names = labels if outputs is None else outputs
    columns = min(len(panels), 2)
    lines = math.ceil(len(panels) / columns)
    wide, tall = 4.2, 3.6
    if labels and names and len(labels) <= LABELLED and max(map(len, labels)) > 2:
        # Words below are as tall as they are long, words beside as wide.
        beside = 0.07 * max(map(len, names))
        wide = max(wide, 1.6 + beside + 0.16 * len(labels))
        tall = 1.2 + 0.07 * max(map(len, labels)) + 0.16 * len(names)
    size = wide * columns, tall * lines
    canvas = Canvas(figsize=size, layout="constrained")
    axes = canvas.subplots(lines, columns, squeeze=False).ravel()
    table: list[TableRow] = []
    for axis, (key, weight_TS) in zip(axes, panels.items(), strict=False):
        image(
            axis, weight_TS, labels, x=images.x, y=images.y, tokens=images.tokens,
            outputs=outputs, scale=images.scale,
        )  # fmt: skip
        if len(panels) > 1:
            axis.set_title(key, fontsize=10)
        for t, row in enumerate(real(weight_TS).tolist()):
            line: TableRow = {"panel": key, "t": t}
            if names is not None and len(names) == len(weight_TS):
                line["output"] = names[t]
            table.append(line | {f"s{s}": w for s, w in enumerate(row)})
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    return Figure(images.name, images.title, images.caption, canvas, table)


def real(weight_TS: np.ndarray) -> np.ndarray:
    """The numbers, or their moduli if they are complex."""
    weight_TS = np.asarray(weight_TS)
    moduli = np.abs(weight_TS) if np.iscomplexobj(weight_TS) else weight_TS
    return moduli.astype(float)
