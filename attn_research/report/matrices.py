"""Matrices of outputs by inputs as images, one panel each."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from attn_research.report.figures import Figure

SHOWN = 40  # tokens whose signs stand along the axes


def image(axis: Any, weight_TS: np.ndarray, marks: Sequence[str] | None = None) -> Any:
    """The axis, with the matrix drawn on it; complex numbers by their modulus.

    Numbers of both signs get a scale of two colours around zero. `marks` are written
    along both axes, where there are few.
    """
    weight_TS = _real(weight_TS)
    top = float(np.nanmax(np.abs(weight_TS))) or 1.0
    signed = bool(np.nanmin(weight_TS) < -1e-6 * top)
    drawn = axis.imshow(
        weight_TS,
        cmap="PuOr_r" if signed else "cividis",
        vmin=-top if signed else 0.0,
        vmax=top,
        interpolation="nearest",
    )
    axis.set_xlabel("input s (tokens)", fontsize=9)
    axis.set_ylabel("output t (tokens)", fontsize=9)
    axis.tick_params(labelsize=8)
    if marks is not None and len(marks) <= SHOWN:
        places = range(len(marks))
        axis.set_xticks(places, marks, fontsize=6, family="monospace")
        axis.set_yticks(places, marks, fontsize=6, family="monospace")
    bar = axis.figure.colorbar(drawn, ax=axis, shrink=0.8)
    bar.ax.tick_params(labelsize=8)
    return axis


def draw(
    name: str,
    title: str,
    caption: str,
    panels: dict[str, np.ndarray],
    marks: Sequence[str] | None = None,
) -> Figure:
    """One image per key, two beside each other; the table has a row per output."""
    from matplotlib.figure import Figure as Canvas

    columns = min(len(panels), 2)
    lines = math.ceil(len(panels) / columns)
    canvas = Canvas(figsize=(4.2 * columns, 3.6 * lines), layout="constrained")
    axes = canvas.subplots(lines, columns, squeeze=False).ravel()
    table: list[dict[str, Any]] = []
    for axis, (key, weight_TS) in zip(axes, panels.items(), strict=False):
        image(axis, weight_TS, marks)
        if len(panels) > 1:
            axis.set_title(key, fontsize=10)
        table += [
            {"panel": key, "t": t, **{f"s{s}": x for s, x in enumerate(row)}}
            for t, row in enumerate(_real(weight_TS).tolist())
        ]
    for axis in axes[len(panels) :]:
        axis.set_axis_off()
    return Figure(name, title, caption, canvas, table)


def _real(weight_TS: np.ndarray) -> np.ndarray:
    """Moduli, where the numbers are complex."""
    weight_TS = np.asarray(weight_TS)
    moduli = np.abs(weight_TS) if np.iscomplexobj(weight_TS) else weight_TS
    return moduli.astype(float)
