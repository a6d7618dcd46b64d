"""A projection with sums in float32 at least, whatever the dtype of its input."""

import jax
import jax.numpy as jnp

from attn_research.modules.contract import Projection
from attn_research.ops.precision import wide


def project(projection: Projection, x: jax.Array) -> jax.Array:
    """`projection(x)` of a projection without bias, in float32 at least.

    The factors have the dtype of x, so that a matrix unit is as fast, but the sum keeps
    its digits, for mixers that divide by its norm next.
    """
    kernel = projection.kernel.get_value().astype(x.dtype)
    y = jnp.matmul(
        x.reshape(-1, x.shape[-1]), kernel, preferred_element_type=wide(x.dtype)
    )
    return y.reshape(*x.shape[:-1], kernel.shape[1])
