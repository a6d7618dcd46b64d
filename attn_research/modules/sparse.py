"""Attention through fixed sparse masks: sliding windows, and what is added to them."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.modules import heads
from attn_research.modules.contract import Cost
from attn_research.modules.stepping import stepping
from attn_research.ops.masks import CAUSAL, Band, window
from attn_research.ops.patterns import Globals, Random, Stride
from attn_research.ops.sparse import attend
from attn_research.options import option


@dataclass(frozen=True)
class WindowOptions(heads.HeadOptions):
    """Size of the window; heads, positions and implementation."""

    window: int = option(128, "Tokens w: t sees s where t - s < w.", low=1)
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
        self.heads = heads.Heads(
            options, width=width, causal=causal, length=length, rngs=rngs
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
        how = self.options.implementation
        form = partial(attend, mask=self.mask, implementation=how)
        return self.heads(x_BTD, segments_BT, form)

    def start(self, batch: int, length: int, dtype: Any = jnp.float32) -> heads.Cache:
        """An empty ring of the window; raises BadInput if bidirectional."""
        slots = min(self.options.window, length)
        return heads.start(self.heads, "window", batch, length, slots, dtype)

    @stepping
    def step(
        self, x_BD: jax.Array, carry: heads.Cache
    ) -> tuple[jax.Array, heads.Cache]:
        """y_BD and the ring with this token; raises BadInput if bidirectional.

        Past the length that `start` was given y_BD is NaN, unless the ring holds a
        whole window: then decoding goes on for ever, learned positions excepted.
        """
        slots = carry.k_BSGK.shape[1]
        limit = slots if slots < self.options.window else None
        return self.heads.step(x_BD, carry, self.mask, limit)

    def reach(self, length: int) -> int:
        """The tokens of the window before this one."""
        return min(self.options.window - 1, length)

    def cost(self, length: int) -> Cost:
        """Projections, and the pairs of tokens within the window."""
        return heads.cost(self, length, self.mask.pairs(length))


@dataclass(frozen=True)
class SparseOptions(heads.HeadOptions):
    """What the mask is made of; heads, positions and implementation."""

    window: int = option(128, "Tokens w: t sees s where t - s < w dilation.", low=1)
    dilation: int = option(1, "Distance of neighbours within the window.", low=1)
    globals: int = option(0, "First tokens that see, and are seen by, all.", low=0)
    stride: int = option(0, "Also see whole multiples of this back; 0: none.", low=0)
    random: int = option(
        0, "Blocks drawn for each block among those before it; linked both ways.", low=0
    )
    block: int = option(64, "Tokens of such a block.", low=1)
    seed: int = option(0, "What the drawn links depend on.", low=0)
    chunk: int = option(128, "Tokens computed at once; sets the speed only.", low=1)
    implementation: Literal["naive", "chunked"] | None = option(
        None, "How attention is computed; none: the best that runs here."
    )


class Sparse(nnx.Module):
    """Softmax attention of each token over those that a fixed mask admits.

    The mask is the union of a window, global tokens, strides and random links, less
    what is ahead where causal; positions are those within the sequence. It costs the
    chunks that the mask touches: strides shorter than a chunk touch all. Decodes with a
    cache of every key and value. Presets: `bigbird`, `longformer` (its global tokens
    share the projections of all) and `sparse_transformer` (both of its strided heads'
    views in every head).
    """

    Options = SparseOptions

    def __init__(
        self,
        options: SparseOptions,
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
    def mask(self) -> Any:
        """The union of what the options name."""
        o = self.options
        side = (o.window - 1) * o.dilation
        mask: Any = window(side, 0 if self.causal else side)
        if o.dilation > 1:
            mask = mask & Stride(o.dilation)
        if o.globals:
            mask = mask | Globals(o.globals)
        if o.stride:
            mask = mask | Stride(o.stride)
        if o.random:
            mask = mask | Random(o.random, o.block, o.seed)
        return mask & CAUSAL if self.causal else mask

    def __call__(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None = None
    ) -> jax.Array:
        """y_BTD; raises BadInput for more tokens than learned positions."""
        form = partial(
            attend,
            mask=self.mask,
            chunk=self.options.chunk,
            implementation=self.options.implementation,
        )
        return self.heads(x_BTD, segments_BT, form)

    def start(self, batch: int, length: int, dtype: Any = jnp.float32) -> heads.Cache:
        """An empty cache for `length` tokens; raises BadInput if bidirectional."""
        return heads.start(self.heads, "sparse", batch, length, length, dtype)

    @stepping
    def step(
        self, x_BD: jax.Array, carry: heads.Cache
    ) -> tuple[jax.Array, heads.Cache]:
        """y_BD and the cache with this token; raises BadInput if bidirectional.

        Past the length that `start` was given y_BD is NaN.
        """
        return self.heads.step(x_BD, carry, self.mask, limit=carry.k_BSGK.shape[1])

    def reach(self, length: int) -> int:
        """How many tokens back an output can depend; the mask may have holes."""
        return self.mask.reach(length)

    def cost(self, length: int) -> Cost:
        """Projections, and the pairs of tokens that the mask admits."""
        return heads.cost(self, length, self.mask.pairs(length))
