"""Sliding-window attention: every token sees its neighbourhood."""

from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.modules import heads
from attn_research.modules.contract import Cost, carry_bytes, parameters
from attn_research.ops.masks import Band, window
from attn_research.ops.positions import positions
from attn_research.ops.sparse import attend
from attn_research.options import BadInput, option


@dataclass(frozen=True)
class WindowOptions:
    """Size of the window; heads, positions and implementation."""

    window: int = option(128, "Tokens w: t sees s where t - s < w.", low=1)
    heads: int = option(4, "Query heads H.", low=1)
    groups: int = option(0, "Key/value heads G; 0: as many as heads; 1: shared.", low=0)
    head_size: int = option(0, "Size K of a head; 0: the width over the heads.", low=0)
    positions: Literal["none", "learned", "rope"] = option(
        "none", "Positions given to queries and keys."
    )
    base: float = option(10_000.0, "Slowest wavelength of RoPE over 2 pi.", above=1)
    implementation: Literal["naive", "chunked"] | None = option(
        None, "How attention is computed; none: the best that runs here."
    )


class Window(nnx.Module):
    """Softmax attention of t over the s where t - s < w, causal, or |t - s| < w.

    Linear in the length; decodes with a ring of the last w keys and values.
    """

    Options = WindowOptions

    def __init__(
        self,
        options: WindowOptions,
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
        """The band of the window."""
        side = self.options.window - 1
        return window(side, 0 if self.causal else side)

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
        """An empty ring of the window; raises BadInput if bidirectional."""
        if not self.causal:
            raise BadInput("A bidirectional window cannot decode; causal=True can")
        self.heads.check(length)
        slots = min(self.options.window, length)
        return heads.empty(self.heads.sizes, batch, slots, dtype)

    def step(
        self, x_BD: jax.Array, carry: heads.Cache
    ) -> tuple[jax.Array, heads.Cache]:
        """y_BD and the ring with this token; raises BadInput if bidirectional.

        Past the length that `start` was given y_BD is NaN, unless the ring holds a
        whole window: then decoding goes on for ever, learned positions excepted.
        """
        if not self.causal:
            raise BadInput("A bidirectional window cannot decode; causal=True can")
        slots = carry.k_BSGK.shape[1]
        limit = slots if slots < self.options.window else None
        return heads.step(self.heads, x_BD, carry, limit=limit)

    def reach(self, length: int) -> int:
        """The tokens of the window before this one."""
        return min(self.options.window - 1, length)

    def cost(self, length: int) -> Cost:
        """Projections, and the pairs of tokens within the window."""
        carry = jax.eval_shape(lambda: self.start(1, length)) if self.causal else ()
        flops = self.heads.flops(length, self.mask.pairs(length))
        return Cost(parameters(self), flops, carry_bytes(carry))
