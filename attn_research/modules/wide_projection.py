"""A projection whose sums are not rounded to the dtype of its input."""

import jax
import jax.numpy as jnp

from attn_research.modules.contract import Projection
from attn_research.ops.precision import wide


def project(projection: Projection, x: jax.Array) -> jax.Array:
    """`projection(x)`, a biasless one, in float32 at least.

    The factors are those of the dtype of x, so that a matrix unit multiplies them as
    fast, but the sum keeps its digits: for what divides by its own length next.
    """
    kernel = projection.kernel.get_value().astype(x.dtype)
    y = jnp.matmul(
        x.reshape(-1, x.shape[-1]), kernel, preferred_element_type=wide(x.dtype)
    )
    return y.reshape(*x.shape[:-1], kernel.shape[1])
