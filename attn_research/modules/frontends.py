"""What comes before the first layer: tokens or real values, and positions."""

import math
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.modules.contract import Projection
from attn_research.ops.positions import lookup, positions, sinusoid
from attn_research.options import BadInput

Positions = Literal["none", "learned", "sinusoid"]


class Frontend(nnx.Module):
    """Inputs as x_BTD: tokens_BT by a table, values_BTF by a projection.

    Learned or sinusoid positions restart in every segment. Tables start with a variance
    of 1 / D and are read times sqrt(D): the residual stream starts at one, as large as
    what the mixers add, and a head that shares the table starts with logits of one.
    """

    def __init__(
        self,
        *,
        inputs: Literal["tokens", "values"],
        features: int,
        width: int,
        positions: Positions,
        length: int,
        rngs: nnx.Rngs,
    ):
        self.inputs, self.positions, self.length = inputs, positions, length
        self.width = width
        if inputs == "tokens":
            table_VD = jax.random.normal(rngs.params(), (features, width))
            self.table = nnx.Param(table_VD * width**-0.5)
        else:
            self.project = Projection(features, width, rngs=rngs, bias=True)
        if positions == "learned":
            table_TD = jax.random.normal(rngs.params(), (length, width))
            self.place = nnx.Param(table_TD * width**-0.5)

    def __call__(
        self, inputs: jax.Array, segments_BT: jax.Array | None, dtype: jnp.dtype
    ) -> jax.Array:
        length = inputs.shape[1]
        if self.positions == "learned" and length > self.length:
            raise BadInput(
                f"The sequence has {length} positions; the learned table has "
                f"{self.length}"
            )
        x_BTD = self.embed(inputs)
        if self.positions != "none":
            x_BTD = x_BTD + self.at(positions(inputs.shape[0], length, segments_BT))
        return x_BTD.astype(dtype)

    def embed(self, inputs: jax.Array) -> jax.Array:
        """Tokens or values (any leading axes) without positions, in float32."""
        if self.inputs == "tokens":
            return self.table.get_value()[inputs] * math.sqrt(self.width)
        return self.project(inputs)

    def at(self, position: jax.Array) -> jax.Array:
        """The vectors of positions (any shape), in float32."""
        if self.positions == "learned":
            return lookup(self.place.get_value(), position) * math.sqrt(self.width)
        return sinusoid(position, self.width)
