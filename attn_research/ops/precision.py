"""The precision of sums, states and softmax, and of dividing by them."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def wide(dtype: Any) -> np.dtype:
    """The dtype to accumulate in: float32 for narrower ones, float64 for float64.

    NumPy's rule, because jax refuses to promote in its strict mode.
    """
    return np.promote_types(dtype, np.float32)


def product(spec: str, *operands: jax.Array) -> jax.Array:
    """`einsum` with sums in float32 at least."""
    return jnp.einsum(spec, *operands, preferred_element_type=wide(operands[0].dtype))


def ratio(out: jax.Array, weight: jax.Array) -> jax.Array:
    """out / weight, and 0 / 0 = 0.

    In units of the weight, whose square, in the gradient, might not be a number.
    """
    unit = jax.lax.stop_gradient(jnp.where(weight == 0, 1, weight))
    return out / unit / jnp.where(weight == 0, 1, weight / unit)
