"""Dense softmax attention: every token sees every other, or every earlier one."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.modules import heads
from attn_research.modules.contract import Cost
from attn_research.modules.stepping import stepping
from attn_research.ops.dense import attend
from attn_research.ops.masks import CAUSAL, FULL, Band
from attn_research.options import option


@dataclass(frozen=True)
class DenseOptions(heads.HeadOptions):
    """Heads, positions and implementation of dense attention."""

    implementation: Literal["naive", "chunked", "library", "splash"] | None = option(
        None, "How attention is computed; none: the best that runs here."
    )


class Dense(nnx.Module):
    """y_BTD = softmax(q k / sqrt(K)) v over the tokens seen, per head, then projected.

    Quadratic in the length; decodes with a cache of every key and value.
    """

    Options = DenseOptions

    def __init__(
        self,
        options: DenseOptions,
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
        """Who sees whom."""
        return CAUSAL if self.causal else FULL

    def __call__(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None = None
    ) -> jax.Array:
        """y_BTD; raises BadInput for more tokens than learned positions."""
        how = self.options.implementation
        form = partial(attend, mask=self.mask, implementation=how)
        return self.heads(x_BTD, segments_BT, form)

    def start(self, batch: int, length: int, dtype: Any = jnp.float32) -> heads.Cache:
        """An empty cache for `length` tokens; raises BadInput if bidirectional."""
        return heads.start(self.heads, "dense", batch, length, length, dtype)

    @stepping
    def step(
        self, x_BD: jax.Array, carry: heads.Cache
    ) -> tuple[jax.Array, heads.Cache]:
        """y_BD and the cache with this token; raises BadInput if bidirectional.

        Past the length that `start` was given y_BD is NaN.
        """
        return self.heads.step(x_BD, carry, self.mask, limit=carry.k_BSGK.shape[1])

    def reach(self, length: int) -> int:
        """Everything: `length`."""
        return length

    def cost(self, length: int) -> Cost:
        """Projections, and the pairs of tokens that the mask admits."""
        return heads.cost(self, length, self.mask.pairs(length))
