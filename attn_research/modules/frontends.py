"""What comes before the first layer: tokens or real values, and positions."""

import math
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.modules.contract import Projection
from attn_research.modules.shortening import Shortening, every
from attn_research.ops.positions import lookup, positions, scattered, sinusoid
from attn_research.options import BadInput

Positions = Literal["none", "learned", "sinusoid"]


class Frontend(nnx.Module):
    """Inputs as x_BTD: tokens_BT by a table, values_BTF by a projection.

    With `strides` the sequence is shortened next, and has fewer positions. Learned or
    sinusoid positions restart in every segment. Tables start with a variance of 1 / D
    and are read times sqrt(D): the residual stream starts at one, as large as what the
    mixers add, and a head that shares the table starts with logits of one. With
    `spread` positions are randomised (Ruoss et al., 2023, arXiv:2305.16843): a key
    draws them, in order, among so many; without one they are as far apart as fits, and
    a model knows the positions of sequences longer than those it was trained on.
    """

    def __init__(
        self,
        *,
        inputs: Literal["tokens", "values"],
        features: int,
        width: int,
        positions: Positions,
        length: int,
        spread: int = 0,
        strides: tuple[int, ...] | None = None,
        rngs: nnx.Rngs,
    ):
        if spread and positions == "none":
            raise BadInput(
                f"model.spread is {spread} and model.positions is none; 0 is allowed, "
                "or learned or sinusoid positions"
            )
        length = spread or length
        self.inputs, self.positions, self.length = inputs, positions, length
        self.width, self.spread = width, spread
        if inputs == "tokens":
            table_VD = jax.random.normal(rngs.params(), (features, width))
            self.table = nnx.Param(table_VD * width**-0.5, rows="tokens")
            features = width
        elif not strides:
            self.project = Projection(features, width, rngs=rngs, bias=True)
        self.shortening = (
            Shortening(features, width, strides, rngs=rngs) if strides else None
        )
        if positions == "learned":
            table_TD = jax.random.normal(rngs.params(), (length, width))
            self.place = nnx.Param(table_TD * width**-0.5, rows="positions")

    def __call__(
        self,
        inputs: jax.Array,
        segments_BT: jax.Array | None,
        dtype: jnp.dtype,
        key: jax.Array | None = None,
    ) -> jax.Array:
        if self.shortening is None:
            x_BTD = self.embed(inputs)
        else:
            values = self.embed(inputs) if self.inputs == "tokens" else inputs
            x_BTD = self.shortening(values, segments_BT)
            segments_BT = every(segments_BT, math.prod(self.shortening.strides))
        if self.positions != "none":
            batch, time = x_BTD.shape[:2]
            stride = self.stride(time)
            place_BT = positions(batch, time, segments_BT)
            if self.spread and key is not None:
                drawn_BT = scattered(key, batch, time, self.spread)
                place_BT = jnp.take_along_axis(drawn_BT, place_BT, axis=1)
            else:
                place_BT = place_BT * stride
            x_BTD = x_BTD + self.at(place_BT)
        return x_BTD.astype(dtype)

    def stride(self, length: int) -> int:
        """How far apart the positions of `length` tokens are.

        Raises BadInput where there are fewer positions than tokens.
        """
        bounded = self.spread or self.positions == "learned"
        if bounded and length > self.length:
            kind = "positions are spread over" if self.spread else "learned table has"
            raise BadInput(
                f"The sequence has {length} positions; the {kind} {self.length}"
            )
        return self.spread // length if self.spread else 1

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
