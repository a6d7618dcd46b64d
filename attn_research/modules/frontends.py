"""The input of the first layer: embedded tokens or real values, with positions."""

import math
from typing import Literal

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from flax import nnx

from attn_research.modules.contract import Projection
from attn_research.modules.directions import without_padding
from attn_research.modules.shortening import Shortening, every
from attn_research.ops.positions import lookup, positions, scattered, sinusoid
from attn_research.options import BadInput

Positions = Literal["none", "learned", "sinusoid"]


class Frontend(nnx.Module):
    """Inputs as x_BTD: tokens_BT by a table, values_BTF by a projection.

    With `strides` the sequence is shortened next, to fewer positions. Learned or
    sinusoid positions restart in every segment. Tables start with variance 1 / D and
    are scaled by sqrt(D): the residual stream starts at one, the size of what the
    mixers add, and a head that shares the table starts with logits of one. With
    `spread` positions are randomised (Ruoss et al., 2023, arXiv:2305.16843): a key
    draws an ordered subset of that many, without one they are evenly spaced, so that a
    model knows the positions of sequences longer than its training data. At padding
    (segment 0) the inputs may be anything, NaN too.
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
                f"model.spread is {spread} and model.positions is none; model.spread "
                "must be 0, or model.positions learned or sinusoid"
            )
        length = spread or length
        self.inputs, self.positions, self.length = inputs, positions, length
        self.features = features
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
        """x_BTD; raises BadInput for inputs or segments of another shape."""
        self._check_shapes(jnp.shape(inputs), segments_BT)
        if self.inputs == "values":
            inputs = without_padding(inputs, segments_BT)
        if self.shortening is None:
            x_BTD = self.embed(inputs, segments_BT)
        else:
            tokens = self.inputs == "tokens"
            values = self.embed(inputs, segments_BT) if tokens else inputs
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

    def _check_shapes(
        self, shape: tuple[int, ...], segments_BT: jax.Array | None
    ) -> None:
        tokens = self.inputs == "tokens"
        wanted = "BT" if tokens else f"BTF with F = {self.features}"
        fits = len(shape) == 2 if tokens else shape[2:] == (self.features,)
        if not fits or len(shape) < 2 or 0 in shape:
            raise BadInput(
                f"The {self.inputs} have the shape {shape}; it must be {wanted}, with "
                "no axis empty"
            )
        if segments_BT is not None and jnp.shape(segments_BT) != shape[:2]:
            raise BadInput(
                f"The segments have the shape {jnp.shape(segments_BT)}; it must be "
                f"{shape[:2]}, one for each position"
            )

    def stride(self, length: int) -> int:
        """The distance between the positions of neighbouring tokens.

        Raises BadInput if there are fewer positions than tokens.
        """
        bounded = self.spread or self.positions == "learned"
        if bounded and length > self.length:
            kind = "positions to spread" if self.spread else "learned positions"
            raise BadInput(
                f"The sequence has {length} positions; it must have at most the "
                f"{self.length} {kind}"
            )
        return self.spread // length if self.spread else 1

    def embed(
        self, inputs: jax.Array, segments_BT: jax.Array | None = None
    ) -> jax.Array:
        """Embedded tokens or values (any leading axes), without positions, float32.

        A token outside the vocabulary, or below 0, raises BadInput; inside a compiled
        program, which cannot raise, its vector is NaN. At padding (segment 0) any
        number may stand.
        """
        if self.inputs != "tokens":
            return self.project(inputs)
        table_VD = self.table.get_value()
        inputs = inside(inputs, table_VD.shape[0], segments_BT)
        rows = jnp.take(table_VD, inputs, axis=0, mode="fill", fill_value=jnp.nan)
        return rows * math.sqrt(self.width)

    def at(self, position: jax.Array) -> jax.Array:
        """The vectors of positions (of any shape), in float32."""
        if self.positions == "learned":
            return lookup(self.place.get_value(), position) * math.sqrt(self.width)
        return sinusoid(position, self.width)


def inside(
    tokens: jax.Array, vocabulary: int, segments_BT: jax.Array | None = None
) -> jax.Array:
    """The tokens, with `vocabulary` for those outside it, and 0 for them at padding.

    Raises BadInput for a token outside where its value is known, not traced.
    """
    if not isinstance(tokens, jax.Array):
        tokens = np.asarray(tokens)
    if not jnp.issubdtype(tokens.dtype, jnp.integer):
        raise BadInput(f"The tokens are {tokens.dtype}; they must be whole numbers")
    if tokens.dtype.itemsize < 4:
        tokens = tokens.astype(np.int32)
    outside = (tokens < 0) | (tokens >= vocabulary)
    wrong = outside if segments_BT is None else outside & (segments_BT != 0)
    if not isinstance(wrong, jax.core.Tracer) and np.any(wrong):
        first = np.asarray(tokens)[np.asarray(wrong)][0]
        raise BadInput(
            f"The tokens hold {first}; they must be from 0 to {vocabulary - 1}, the "
            "vocabulary of the model"
        )
    tokens = jnp.where(outside, vocabulary, jnp.asarray(tokens).astype(jnp.int32))
    return tokens if segments_BT is None else jnp.where(outside & ~wrong, 0, tokens)
