"""LSH attention: tokens attend to similar ones, those in the same hash bucket."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from attn_research.modules.contract import (
    Cost,
    Projection,
    checked,
    cost_of,
    everything,
)
from attn_research.modules.directions import refuse_decoding, without_padding
from attn_research.modules.head_sizes import sized
from attn_research.modules.segments import reading
from attn_research.modules.stepping import stepping
from attn_research.ops import lsh
from attn_research.options import BadInput, declared, option


@declared
class ReformerOptions:
    """Rounds, buckets and span of the hashing; heads and implementation."""

    rounds: int = option(4, "Rounds of hashing, seen together.", low=1)
    buckets: int = option(
        0, "Buckets per round, an even number; 0: one per span of tokens.", low=0
    )
    span: int = option(
        64, "Tokens of its bucket that a token sees before itself.", low=1
    )
    seed: int = option(0, "Seed of the hashing.", low=0)
    heads: int = option(4, "Heads H.", low=1)
    head_size: int = option(0, "Size K of a head; 0: the width over the heads.", low=0)
    implementation: Literal["naive", "chunked"] | None = option(
        None, "How attention is computed; none: the best that runs here."
    )


class Hashed(NamedTuple):
    """The tokens, values and buckets in memory, and the number of tokens seen."""

    x_BSHK: jax.Array
    v_BSHK: jax.Array
    bucket_BSHN: jax.Array
    time: jax.Array


class Reformer(nnx.Module):
    """Softmax attention over the tokens that share a bucket in some round of hashing.

    Queries are keys, as in the paper; unlike there, a token always sees itself, and the
    nearest tokens of its bucket rather than those of a chunk, so that the causal form
    is exact. It has no positions. Time grows as T log T; decodes with a cache of every
    token.
    """

    Options = ReformerOptions

    @checked
    def __init__(
        self,
        options: ReformerOptions,
        *,
        width: int,
        causal: bool,
        length: int,
        rngs: nnx.Rngs,
    ):
        o = options
        if o.buckets % 2:
            raise BadInput(f"reformer.buckets is {o.buckets}; it must be even")
        self.options, self.causal, self.width = o, causal, width
        self.head_size = sized("reformer", o.heads, o.head_size, width)
        # A bucket for each span; a single bucket needs no hashing.
        self.buckets = o.buckets or 2 * round(length / o.span / 2)
        inner = o.heads * self.head_size
        self.query = Projection(width, inner, rngs=rngs)
        self.value = Projection(width, inner, rngs=rngs)
        self.out = Projection(inner, width, rngs=rngs)

    @property
    def rotations_HNKR(self) -> np.ndarray:
        """The rotations of the hashing, constants from the seed."""
        o = self.options
        return lsh.rotations(o.heads, o.rounds, self.head_size, self.buckets, o.seed)

    @reading
    def __call__(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None = None
    ) -> jax.Array:
        x_BTD = without_padding(x_BTD, segments_BT)
        y_BTHK = lsh.lsh_attention(
            self._headed(self.query(x_BTD)),
            self._headed(self.value(x_BTD)),
            rotations_HNKR=self.rotations_HNKR,
            span=self.options.span,
            causal=self.causal,
            segments_BT=segments_BT,
            implementation=self.options.implementation,
        )
        return self.out(y_BTHK.reshape(*x_BTD.shape[:2], -1))

    def start(self, batch: int, length: int, dtype: Any = jnp.float32) -> Hashed:
        """An empty cache for `length` tokens; raises BadInput if bidirectional."""
        refuse_decoding("reformer", self.causal)
        o = self.options
        zeros_BSHK = jnp.zeros((batch, length, o.heads, self.head_size), dtype)
        none_BSHN = jnp.zeros((batch, length, o.heads, o.rounds), jnp.int32)
        return Hashed(zeros_BSHK, zeros_BSHK, none_BSHN, jnp.zeros((), jnp.int32))

    @stepping
    def step(self, x_BD: jax.Array, carry: Hashed) -> tuple[jax.Array, Hashed]:
        """y_BD and the cache with this token; raises BadInput if bidirectional.

        Past the length that `start` was given y_BD is NaN.
        """
        x_B1HK = self._headed(self.query(x_BD[:, None]))
        v_B1HK = self._headed(self.value(x_BD[:, None]))
        bucket_B1HN = lsh.hashed(x_B1HK, self.rotations_HNKR)
        new = x_B1HK, v_B1HK, bucket_B1HN
        held = [
            jax.lax.dynamic_update_slice_in_dim(
                old, one.astype(old.dtype), carry.time, axis=1
            )
            for old, one in zip(carry[:3], new, strict=True)
        ]
        y_B1HK = lsh.lsh_step(x_B1HK, *held, time=carry.time, span=self.options.span)
        y_BD = self.out(y_B1HK.reshape(x_BD.shape[0], -1))
        past = carry.time >= carry.x_BSHK.shape[1]
        return jnp.where(past, jnp.nan, y_BD), Hashed(*held, time=carry.time + 1)

    reach = everything

    def cost(self, length: int) -> Cost:
        """Projections, hashing, and in each round the span of every token."""
        o, inner = self.options, self.options.heads * self.head_size
        sides = o.span if self.causal else 2 * o.span
        pairs = o.rounds * length * min(length, sides + 1)
        products = 3 * length * self.width * inner + 2 * pairs * inner
        products += length * inner * o.rounds * (self.buckets // 2)
        return cost_of(self, length, products)

    def _headed(self, x_BTD: jax.Array) -> jax.Array:
        return x_BTD.reshape(*x_BTD.shape[:2], self.options.heads, self.head_size)
