"""Softmax attention as a mixer: dense, windowed, through sparse masks, selective."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.modules.attention_kinds import Kind, kind_of
from attn_research.modules.cache import Cache, empty
from attn_research.modules.contract import Cost, checked, cost_of
from attn_research.modules.directions import refuse_decoding, without_padding
from attn_research.modules.heads import HeadOptions, Heads
from attn_research.modules.segments import reading
from attn_research.modules.stepping import stepping
from attn_research.ops.masks import Mask, pairs
from attn_research.ops.selection import Blocks, Rule
from attn_research.options import BadInput


class Attention(nnx.Module):
    """y_BTD = softmax(q k / sqrt(K)) v over the tokens seen, per head, then projected.

    The type of the options says which kind it is: whom a token sees and how that is
    computed (`KINDS`). Decodes with a cache of every key and value, or, if a window
    bounds what is seen, with a ring of the last ones.
    """

    @checked
    def __init__(
        self,
        options: HeadOptions,
        *,
        width: int,
        causal: bool,
        length: int,
        rngs: nnx.Rngs,
    ):
        kind = kind_of(options)
        if options.forget and not kind.forgets:
            raise BadInput(
                f"{kind.name} attention has forget=true and hides tokens whose gates "
                "would act; forget must be false, or the mixer dense or window"
            )
        self.options: Any = options
        self.causal = causal
        self.heads = Heads(
            options, width=width, causal=causal, length=length, rngs=rngs
        )

    @property
    def kind(self) -> Kind:
        """Its mask, its op and its cache, as in `KINDS`."""
        return kind_of(self.options)

    @property
    def mask(self) -> Mask:
        """Whom each token sees, or selects among."""
        return self.kind.mask(self.options, self.causal)

    @property
    def rule(self) -> Rule | None:
        """How a query selects among those it sees; None: it takes all."""
        rule = self.kind.rule
        return None if rule is None else rule(self.options)

    @reading
    def __call__(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None = None
    ) -> jax.Array:
        """y_BTD; raises BadInput for more tokens than learned positions."""
        x_BTD = without_padding(x_BTD, segments_BT)
        return self.heads(x_BTD, segments_BT, self.kind.form(self.options, self.mask))

    def start(self, batch: int, length: int, dtype: Any = jnp.float32) -> Cache:
        """An empty cache for `length` tokens; raises BadInput if bidirectional."""
        refuse_decoding(self.kind.name, self.causal)
        self.heads.check(length)
        slots = length if self._ring is None else min(self._ring, length)
        return empty(self.heads.sizes, batch, slots, dtype, self.options.forget)

    @stepping
    def step(self, x_BD: jax.Array, carry: Cache) -> tuple[jax.Array, Cache]:
        """y_BD and the cache with this token.

        y_BD is NaN after the length that `start` was given, unless the cache holds a
        whole window: then decoding never ends, learned positions excepted.
        """
        slots = carry.k_BSGK.shape[1]
        limit = slots if self._ring is None or slots < self._ring else None
        return self.heads.step(x_BD, carry, self.mask, limit=limit, rule=self.rule)

    def reach(self, length: int) -> int:
        """How many tokens back an output can depend; the mask may have holes."""
        if self._ring is None:
            return self.mask.reach(length)
        return min(self._ring - 1, length)

    def cost(self, length: int) -> Cost:
        """Projections, and the pairs of tokens that the mask admits.

        A rule selects after all scores are taken. Blocks are selected by products of
        each query with the mean of each key's block, half as much again.
        """
        seen = pairs(self.mask, length)
        seen += seen // 2 if isinstance(self.rule, Blocks) else 0
        return cost_of(self, length, self.heads.products(length, seen))

    @property
    def _ring(self) -> int | None:
        ring = self.kind.ring
        return None if ring is None else ring(self.options)
