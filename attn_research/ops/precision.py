"""The precision that sums, states and softmax keep."""

from typing import Any

import numpy as np


def wide(dtype: Any) -> np.dtype:
    """The dtype to accumulate in: float32 for narrower ones, float64 for float64.

    NumPy's rule, because jax refuses to promote in its strict mode.
    """
    return np.promote_types(dtype, np.float32)
