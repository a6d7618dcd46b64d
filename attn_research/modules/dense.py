"""Dense softmax attention: every token sees every other, or every earlier one."""

from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.modules import heads
from attn_research.modules.contract import Cost, carry_bytes, parameters
from attn_research.ops.dense import attend
from attn_research.ops.masks import CAUSAL, FULL, Band
from attn_research.ops.positions import positions
from attn_research.options import BadInput, option


@dataclass(frozen=True)
class DenseOptions:
    """Heads, positions and implementation of dense attention."""

    heads: int = option(4, "Query heads H.", low=1)
    groups: int = option(0, "Key/value heads G; 0: as many as heads; 1: shared.", low=0)
    head_size: int = option(0, "Size K of a head; 0: the width over the heads.", low=0)
    positions: Literal["none", "learned", "rope"] = option(
        "none", "Positions given to queries and keys."
    )
    base: float = option(10_000.0, "Slowest wavelength of RoPE over 2 pi.", above=1)
    implementation: Literal["naive", "chunked", "library"] | None = option(
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
        o = options
        self.heads = heads.Heads(
            heads.sizes(o.heads, o.groups, o.head_size, width, o.positions),
            width=width,
            length=length,
            kind=o.positions,
            base=o.base,
            rngs=rngs,
        )

    @property
    def mask(self) -> Band:
        """Who sees whom."""
        return CAUSAL if self.causal else FULL

    def __call__(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None = None
    ) -> jax.Array:
        """y_BTD; raises BadInput for more tokens than learned positions."""
        batch, time = x_BTD.shape[:2]
        self.heads.check(time)
        q_BTHK, k_BTGK, v_BTGK = self.heads.split(
            x_BTD, positions(batch, time, segments_BT)
        )
        y_BTHK = attend(
            q_BTHK,
            k_BTGK,
            v_BTGK,
            mask=self.mask,
            segments_BT=segments_BT,
            implementation=self.options.implementation,
        )
        return self.heads.merge(y_BTHK)

    def start(self, batch: int, length: int, dtype: Any = jnp.float32) -> heads.Cache:
        """An empty cache for `length` tokens; raises BadInput if bidirectional."""
        if not self.causal:
            raise BadInput("Bidirectional dense attention cannot decode; causal=True")
        self.heads.check(length)
        return heads.empty(self.heads.sizes, batch, length, dtype)

    def step(
        self, x_BD: jax.Array, carry: heads.Cache
    ) -> tuple[jax.Array, heads.Cache]:
        """y_BD and the cache with this token; raises BadInput if bidirectional.

        Past the length that `start` was given y_BD is NaN.
        """
        if not self.causal:
            raise BadInput("Bidirectional dense attention cannot decode; causal=True")
        return heads.step(self.heads, x_BD, carry, limit=carry.k_BSGK.shape[1])

    def reach(self, length: int) -> int:
        """Everything: `length`."""
        return length

    def cost(self, length: int) -> Cost:
        """Projections, and the pairs of tokens that the mask admits."""
        pairs = self.mask.pairs(length)
        carry = jax.eval_shape(lambda: self.start(1, length)) if self.causal else ()
        flops = self.heads.flops(length, pairs)
        return Cost(parameters(self), flops, carry_bytes(carry))
