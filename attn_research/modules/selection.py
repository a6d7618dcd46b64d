"""Attention to what the content selects: the best keys, or the best blocks of keys."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.modules import heads
from attn_research.modules.contract import Cost
from attn_research.modules.stepping import stepping
from attn_research.ops.masks import CAUSAL, FULL, Band
from attn_research.ops.selection import Best, Blocks, Rule, attend
from attn_research.options import option


@dataclass(frozen=True)
class SelectionOptions(heads.HeadOptions):
    """What is selected; heads, positions and implementation."""

    select: Literal["keys", "blocks"] = option("keys", "What a query selects.")
    count: int = option(32, "How many of them; of blocks one is its own.", low=1)
    block: int = option(64, "Tokens of a block.", low=1)
    chunk: int = option(128, "Queries computed at once; sets the speed only.", low=1)
    implementation: Literal["naive", "chunked"] | None = option(
        None, "How attention is computed; none: the best that runs here."
    )


class Selection(nnx.Module):
    """Softmax attention of each token over the keys, or blocks, that suit it best.

    Quadratic in time, linear in memory; decodes with a cache of every key and value.
    Presets: `topk` and `moba`.
    """

    Options = SelectionOptions

    def __init__(
        self,
        options: SelectionOptions,
        *,
        width: int,
        causal: bool,
        length: int,
        rngs: nnx.Rngs,
    ):
        self.options, self.causal = options, causal
        self.heads = heads.Heads(
            options, width=width, causal=causal, length=length, rngs=rngs
        )

    @property
    def mask(self) -> Band:
        """What a query selects from."""
        return CAUSAL if self.causal else FULL

    @property
    def rule(self) -> Rule:
        """How it selects."""
        o = self.options
        return Best(o.count) if o.select == "keys" else Blocks(o.count, o.block)

    def __call__(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None = None
    ) -> jax.Array:
        """y_BTD; raises BadInput for more tokens than learned positions."""
        form = partial(
            attend,
            rule=self.rule,
            causal=self.causal,
            chunk=self.options.chunk,
            implementation=self.options.implementation,
        )
        return self.heads(x_BTD, segments_BT, form)

    def start(self, batch: int, length: int, dtype: Any = jnp.float32) -> heads.Cache:
        """An empty cache for `length` tokens; raises BadInput if bidirectional."""
        return heads.start(self.heads, "selection", batch, length, length, dtype)

    @stepping
    def step(
        self, x_BD: jax.Array, carry: heads.Cache
    ) -> tuple[jax.Array, heads.Cache]:
        """y_BD and the cache with this token; raises BadInput if bidirectional.

        Past the length that `start` was given y_BD is NaN.
        """
        slots = carry.k_BSGK.shape[1]
        return self.heads.step(x_BD, carry, self.mask, slots, self.rule)

    def reach(self, length: int) -> int:
        """Everything that may be selected: `length`."""
        return length

    def cost(self, length: int) -> Cost:
        """Projections, and every pair: scores are taken before they are selected.

        Blocks are selected by products of each query with the mean of each key's block,
        half as much again.
        """
        pairs = self.mask.pairs(length)
        more = pairs // 2 if self.options.select == "blocks" else 0
        return heads.cost(self, length, pairs + more)
