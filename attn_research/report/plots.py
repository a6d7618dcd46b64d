"""Single plots for a notebook: each draws onto an axis and returns it.

Without an axis it makes a new pyplot figure. Nothing is displayed or printed.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from attn_research.report import axes, figures, matrices
from attn_research.report.axes import Series


def matrix(
    weight_TS: np.ndarray, tokens: Sequence[str] | None = None, axis: Any = None
) -> Any:
    """The axis, with a matrix of outputs by inputs as an image; see `matrices.image`.

    A few `tokens` are written along both sides.
    """
    return matrices.image(_axis(axis), weight_TS, tokens)


def curves(series: Series, x: str, y: str, axis: Any = None, **scales: Any) -> Any:
    """The axis, with the series as lines with bands and a legend; see `axes.lines`.

    `scales` are `log_x` and `log_y`. A mixer has the same colour in every figure.
    """
    axis = axes.lines(_axis(axis), series, x, y, **scales)
    axis.set_ylabel(axes.unit(y), fontsize=figures.LARGE.text)
    axis.legend(fontsize=figures.LARGE.text - 1, frameon=False)
    return axis


def _axis(axis: Any) -> Any:
    if axis is not None:
        return axis
    from matplotlib import pyplot

    return pyplot.subplots()[1]
