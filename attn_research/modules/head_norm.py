"""The outputs of heads as one vector: each normalised, then gated."""

from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.modules.contract import Projection
from attn_research.modules.wide_projection import project
from attn_research.ops.norm import rms_norm

Gate = Literal["none", "silu", "sigmoid"]
# Published models scale queries by 1 / sqrt(K) and normalise with an epsilon of 1e-5,
# which equals 1e-3 for unscaled queries at K = 100. We use that for every K, in place
# of the 1e-6 of rms_norm: the first token of a sequence reads (q . k) v, which may be
# arbitrarily small, and the gradient of the norm is its inverse.
DAMPING = 1e-3**0.5


class HeadNorm(nnx.Module):
    """y (..., H, E) -> (..., H E): RMS-normalised per head, times gate(x W).

    One scale serves all heads. Computes in the dtype of y and returns that of x.
    """

    def __init__(self, width: int, inner: int, heads: int, gate: Gate, rngs: nnx.Rngs):
        self.kind: Gate = gate
        self.scale = nnx.Param(jnp.ones(inner // heads, jnp.float32))
        gated = gate != "none"
        self.gate = Projection(width, inner, rngs=rngs) if gated else None

    def __call__(self, y: jax.Array, x: jax.Array) -> jax.Array:
        y = rms_norm(y * DAMPING, self.scale.get_value())
        y = y.reshape(*x.shape[:-1], -1)
        if self.gate is not None:
            squash = jax.nn.silu if self.kind == "silu" else jax.nn.sigmoid
            y = y * squash(project(self.gate, x))
        return y.astype(x.dtype)
