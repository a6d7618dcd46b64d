"""The parameters of a normalisation."""

from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.ops.norm import layer_norm, rms_norm


class Norm(nnx.Module):
    """Layer or RMS normalisation of the last axis, in the shape and dtype of x."""

    def __init__(self, width: int, *, kind: Literal["layer", "rms"], rngs: nnx.Rngs):
        self.kind = kind
        self.scale = nnx.Param(jnp.ones(width, jnp.float32))
        zeros_D = jnp.zeros(width, jnp.float32)
        self.bias = nnx.Param(zeros_D) if kind == "layer" else None

    def __call__(self, x: jax.Array) -> jax.Array:
        if self.bias is None:
            return rms_norm(x, self.scale.get_value())
        return layer_norm(x, self.scale.get_value(), self.bias.get_value())
