"""Matrices of outputs by inputs as images, one panel each."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from attn_research.report.figures import Figure

SHOWN = 40  # tokens whose signs stand along the axes
MANY = 64 * 64  # numbers, the few largest of which would leave all others dark
BRIGHT = 0.995  # of them stand within the scale
INPUT, OUTPUT = "input s (tokens)", "output t (tokens)"


class Images(NamedTuple):
    """What `draw` draws: one matrix per panel, all with the same marks.

    `marks` are those of the inputs, and of the outputs where those have no others.
    Where a matrix is of spans of tokens, `tokens` says how many there are.
    """

    name: str
    title: str
    caption: str
    panels: Mapping[str, np.ndarray]
    marks: Sequence[str] | None = None
    x: str = INPUT
    y: str = OUTPUT
    tokens: int | None = None
    outputs: Sequence[str] | None = None


def image(
    axis: Any,
    weight_TS: np.ndarray,
    marks: Sequence[str] | None = None,
    *,
    x: str = INPUT,
    y: str = OUTPUT,
    tokens: int | None = None,
    outputs: Sequence[str] | None = None,
) -> Any:
    """The axis, with the matrix drawn on it; complex numbers by their modulus.

    Numbers of both signs get a scale of two colours around zero. `marks` are written
    along both axes, where there are few; `outputs` along the second instead.
    """
    weight_TS = real(weight_TS)
    largest = top = float(np.nanmax(np.abs(weight_TS))) or 1.0
    if weight_TS.size > MANY:
        top = float(np.nanquantile(np.abs(weight_TS), BRIGHT)) or largest
    signed = bool(np.nanmin(weight_TS) < -1e-6 * largest)
    height, width = weight_TS.shape
    last = (tokens or width) - 0.5, (tokens or height) - 0.5
    drawn = axis.imshow(
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
    if marks is not None and len(marks) <= SHOWN:
        long = max(map(len, marks), default=0) > 2
        look: dict[str, Any] = {"fontsize": 8 if long else 6, "family": "monospace"}
        axis.set_xticks(range(len(marks)), marks, rotation=90 if long else 0, **look)
        if outputs is None and len(marks) == height:
            outputs = marks
        if outputs is not None:
            axis.set_yticks(range(len(outputs)), outputs, **look)
    beyond = {(False, False): "neither", (True, False): "max", (True, True): "both"}
    extend = beyond[largest > top, signed and largest > top]
    bar = axis.figure.colorbar(drawn, ax=axis, shrink=0.8, extend=extend)
    bar.ax.tick_params(labelsize=8)
    return axis


def draw(
    name: str,
    title: str,
    caption: str,
    panels: Mapping[str, np.ndarray],
    marks: Sequence[str] | None = None,
    x: str = INPUT,
    y: str = OUTPUT,
    tokens: int | None = None,
    outputs: Sequence[str] | None = None,
) -> Figure:
    """One image per key, two beside each other; the table has a row per output."""
    from matplotlib.figure import Figure as Canvas

    columns = min(len(panels), 2)
    lines = math.ceil(len(panels) / columns)
    wide, tall = 4.2, 3.6
    if marks is not None and len(marks) <= SHOWN and max(map(len, marks)) > 2:
        # A word takes the height of its letters, and beside them their length.
        outputs_shown = marks if outputs is None else outputs
        beside = 0.07 * max(map(len, outputs_shown))
        wide = max(wide, 1.6 + beside + 0.16 * len(marks))
        tall = 1.2 + 0.07 * max(map(len, marks)) + 0.16 * len(outputs_shown)
    size = wide * columns, tall * lines
    canvas = Canvas(figsize=size, layout="constrained")
    axes = canvas.subplots(lines, columns, squeeze=False).ravel()
    table: list[dict[str, Any]] = []
    for axis, (key, weight_TS) in zip(axes, panels.items(), strict=False):
        image(axis, weight_TS, marks, x=x, y=y, tokens=tokens, outputs=outputs)
        if len(panels) > 1:
            axis.set_title(key, fontsize=10)
        names = marks if outputs is None else outputs
        for t, row in enumerate(real(weight_TS).tolist()):
            line: dict[str, Any] = {"panel": key, "t": t}
            if names is not None and len(names) == len(weight_TS):
                line["output"] = names[t]
            table.append(line | {f"s{s}": w for s, w in enumerate(row)})
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    return Figure(name, title, caption, canvas, table)


def real(weight_TS: np.ndarray) -> np.ndarray:
    """Moduli, where the numbers are complex."""
    weight_TS = np.asarray(weight_TS)
    moduli = np.abs(weight_TS) if np.iscomplexobj(weight_TS) else weight_TS
    return moduli.astype(float)
