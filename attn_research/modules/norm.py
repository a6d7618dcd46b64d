"""Normalisation of the residual stream, with its learned scale."""

from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.ops.norm import layer_norm, rms_norm


class Norm(nnx.Module):
    """Layer or RMS normalisation over the last axis, with scale (and bias)."""

    def __init__(self, width: int, *, kind: Literal["layer", "rms"], rngs: nnx.Rngs):
        self.scale = nnx.Param(jnp.ones(width, jnp.float32))
        layer = kind == "layer"
        self.bias = nnx.Param(jnp.zeros(width, jnp.float32)) if layer else None

    def __call__(self, x: jax.Array) -> jax.Array:
        if self.bias is None:
            return rms_norm(x, self.scale.get_value())
        return layer_norm(x, self.scale.get_value(), self.bias.get_value())
