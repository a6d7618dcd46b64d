"""Attention of low rank: through projected slots (Linformer), landmarks (Nystrom)."""

from typing import Any, Literal, NoReturn

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.modules.contract import (
    Carry,
    Cost,
    Projection,
    checked,
    cost_of,
    everything,
)
from attn_research.modules.directions import refuse_decoding, without_padding
from attn_research.modules.head_sizes import sized
from attn_research.modules.segments import reading
from attn_research.ops.linformer import linformer_attention
from attn_research.ops.nystrom import STEPS, nystrom_attention
from attn_research.options import BadInput, declared, option


@declared
class LinformerOptions:
    """Slots, heads and implementation of Linformer."""

    slots: int = option(64, "Slots M of the projected keys and values.", low=1)
    shared: bool = option(False, "One projection along time for keys and values.")
    heads: int = option(4, "Heads H.", low=1)
    head_size: int = option(0, "Size K of a head; 0: the width over the heads.", low=0)
    implementation: Literal["naive", "chunked"] | None = option(
        None, "How it is computed; none: the best that runs here."
    )


class Linformer(nnx.Module):
    """Every token sees M learned sums, over positions, of the keys and values.

    Linear in the length, which the learned sums bound: a longer sequence is refused.
    Only the sums depend on positions, the queries do not.
    """

    Options = LinformerOptions
    both_ways_only = True

    @checked
    def __init__(
        self,
        options: LinformerOptions,
        *,
        width: int,
        causal: bool,
        length: int,
        rngs: nnx.Rngs,
    ):
        _refuse_causal("linformer", causal)
        self.options, self.causal, self.length = options, causal, length
        self.heads = FullHeads(
            "linformer", options.heads, options.head_size, width, rngs
        )

        def slots() -> nnx.Param:
            # A slot sums the whole sequence: its keys start as large as one key.
            draw_NM = jax.random.normal(rngs.params(), (length, options.slots))
            return nnx.Param(draw_NM * length**-0.5)

        self.key_slots_NM = slots()
        self.value_slots_NM = None if options.shared else slots()

    @reading
    def __call__(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None = None
    ) -> jax.Array:
        """y_BTD; raises BadInput for more tokens than the slots were built for."""
        o, time = self.options, x_BTD.shape[1]
        if time > self.length:
            raise BadInput(
                f"The sequence has {time} tokens; it must have at most the "
                f"{self.length} that linformer was built for"
            )
        key_NM = self.key_slots_NM.get_value()
        other = self.value_slots_NM
        y_BTHK = linformer_attention(
            *self.heads.split(without_padding(x_BTD, segments_BT)),
            key_NM,
            key_NM if other is None else other.get_value(),
            segments_BT=segments_BT,
            implementation=o.implementation,
        )
        return self.heads.merge(y_BTHK)

    def start(self, batch: int, length: int, dtype: Any = jnp.float32) -> NoReturn:
        """Raises BadInput: a mixer that sees the future cannot decode."""
        _refuse_decoding("linformer")

    def step(self, x_BD: jax.Array, carry: Carry) -> NoReturn:
        """Raises BadInput: a mixer that sees the future cannot decode."""
        _refuse_decoding("linformer")

    reach = everything

    def cost(self, length: int) -> Cost:
        """Projections, the sums into the slots, and attention to them."""
        through = 4 * length * self.options.slots * self.heads.inner
        return cost_of(self, length, self.heads.products(length) + through)


@declared
class NystromOptions:
    """Landmarks, heads and implementation of Nystrom attention."""

    landmarks: int = option(64, "Landmarks M of a sequence.", low=1)
    packed: int = option(
        8, "Most packed sequences in a row; later ones give NaN.", low=1
    )
    heads: int = option(4, "Heads H.", low=1)
    head_size: int = option(0, "Size K of a head; 0: the width over the heads.", low=0)
    implementation: Literal["naive", "chunked"] | None = option(
        None, "How it is computed; none: the best that runs here."
    )


class Nystrom(nnx.Module):
    """Softmax attention rebuilt from M means of neighbouring queries and keys.

    Linear in the length. A row of packed sequences costs `packed` times one sequence:
    every sequence has landmarks of its own.
    """

    Options = NystromOptions
    both_ways_only = True

    @checked
    def __init__(
        self,
        options: NystromOptions,
        *,
        width: int,
        causal: bool,
        length: int,
        rngs: nnx.Rngs,
    ):
        _refuse_causal("nystrom", causal)
        self.options, self.causal = options, causal
        self.heads = FullHeads("nystrom", options.heads, options.head_size, width, rngs)

    @reading
    def __call__(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None = None
    ) -> jax.Array:
        """y_BTD; NaN at tokens of segments after the first `packed` of a row."""
        o = self.options
        y_BTHK = nystrom_attention(
            *self.heads.split(without_padding(x_BTD, segments_BT)),
            landmarks=o.landmarks,
            segments_BT=segments_BT,
            packed=o.packed,
            implementation=o.implementation,
        )
        return self.heads.merge(y_BTHK)

    def start(self, batch: int, length: int, dtype: Any = jnp.float32) -> NoReturn:
        """Raises BadInput: a mixer that sees the future cannot decode."""
        _refuse_decoding("nystrom")

    def step(self, x_BD: jax.Array, carry: Carry) -> NoReturn:
        """Raises BadInput: a mixer that sees the future cannot decode."""
        _refuse_decoding("nystrom")

    reach = everything

    def cost(self, length: int) -> Cost:
        """Projections, products with the landmarks, and the steps of the inverse."""
        M = min(self.options.landmarks, length)
        # Means of queries and keys, three score matrices less one, two products back.
        through = 6 * length * M * self.heads.inner
        inverse = 4 * STEPS * self.options.heads * M**3
        return cost_of(self, length, self.heads.products(length) + through + inverse)


class FullHeads(nnx.Module):
    """x_BTD -> q_BTHK, k_BTHK, v_BTHK, as many key as query heads; and back.

    Without biases, which would give padding an output. Raises BadInput if the heads do
    not divide the width.
    """

    def __init__(
        self, name: str, heads: int, head_size: int, width: int, rngs: nnx.Rngs
    ):
        self.heads, self.width = heads, width
        self.inner = heads * sized(name, heads, head_size, width)
        self.query = Projection(width, self.inner, rngs=rngs)
        self.key = Projection(width, self.inner, rngs=rngs)
        self.value = Projection(width, self.inner, rngs=rngs)
        self.out = Projection(self.inner, width, rngs=rngs)

    def split(self, x_BTD: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """q_BTHK, k_BTHK, v_BTHK."""

        def headed(y: jax.Array) -> jax.Array:
            return y.reshape(*y.shape[:2], self.heads, -1)

        return (
            headed(self.query(x_BTD)),
            headed(self.key(x_BTD)),
            headed(self.value(x_BTD)),
        )

    def merge(self, y_BTHK: jax.Array) -> jax.Array:
        """y_BTD."""
        return self.out(y_BTHK.reshape(*y_BTHK.shape[:2], -1))

    def products(self, length: int) -> int:
        """Multiply-adds of the four projections of `length` tokens."""
        return 4 * length * self.width * self.inner


def _refuse_causal(name: str, causal: bool) -> None:
    if causal:
        raise BadInput(
            f"{name} has no causal form: it mixes all tokens before a mask applies; "
            "the task must be one whose model sees the whole sequence"
        )


def _refuse_decoding(name: str) -> NoReturn:
    refuse_decoding(name, causal=False)
    raise AssertionError("unreachable")
