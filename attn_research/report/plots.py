"""Single plots for a notebook: each draws onto an axis and gives it back.

Without one it is that of a new figure of pyplot. Nothing is shown, nothing printed.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from attn_research.report import figures, matrices
from attn_research.report.figures import Series


def matrix(
    weight_TS: np.ndarray, tokens: Sequence[str] | None = None, axis: Any = None
) -> Any:
    """The axis, with a matrix of outputs by inputs as an image; see `matrices.image`.

    `tokens` are written along both sides, where there are few.
    """
    return matrices.image(_axis(axis), weight_TS, tokens)


def curves(series: Series, x: str, y: str, axis: Any = None, **scales: Any) -> Any:
    """The axis, with the series as lines with bands and a legend; see `figures.lines`.

    `scales` are `log_x` and `log_y`. A mixer has its own colour, as in every figure.
    """
    drawn = figures.lines(_axis(axis), series, x, y, **scales)
    drawn.set_ylabel(figures.unit(y), fontsize=figures.LARGE.text)
    drawn.legend(fontsize=figures.LARGE.text - 1, frameon=False)
    return drawn


def _axis(axis: Any) -> Any:
    if axis is not None:
        return axis
    from matplotlib import pyplot

    return pyplot.subplots()[1]
