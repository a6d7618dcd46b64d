"""A projection through few numbers, for gates that need no more."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from attn_research.modules.contract import Projection, dynamics
from attn_research.ops.precision import wide


class LowRankProjection(nnx.Module):
    """act(x A) B (+ bias), of rank `rank`, in float32 at least.

    The bias starts at `bias` (width,) and learns as what sets the dynamics of a state.
    """

    def __init__(
        self,
        width: int,
        rank: int,
        *,
        bias: np.ndarray | None = None,
        rngs: nnx.Rngs,
    ):
        self.low = Projection(width, rank, rngs=rngs)
        self.high = Projection(rank, width, rngs=rngs)
        given = None if bias is None else jnp.asarray(bias, jnp.float32)
        self.bias = None if given is None else dynamics(given)

    def __call__(
        self, x: jax.Array, act: Callable[[jax.Array], jax.Array] | None = None
    ) -> jax.Array:
        z = self.low(x.astype(wide(x.dtype)))
        y = self.high(z if act is None else act(z))
        if self.bias is None:
            return y
        bias = self.bias.get_value().astype(y.dtype)
        return y + jnp.expand_dims(bias, tuple(range(y.ndim - 1)))

    def products(self) -> int:
        """Multiply-adds for one token."""
        return sum(p.kernel.get_value().size for p in (self.low, self.high))
