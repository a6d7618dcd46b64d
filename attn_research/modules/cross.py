"""Cross-attention: a sequence that reads another one, the context."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.modules.contract import (
    Cost,
    Projection,
    carry_bytes,
    checked,
    parameters,
)
from attn_research.modules.head_sizes import head_sizes
from attn_research.ops.dense import attention
from attn_research.options import declared, option


@declared
class CrossOptions:
    """Heads and implementation of cross-attention."""

    heads: int = option(4, "Query heads H.", low=1)
    groups: int = option(0, "Key/value heads G; 0: as many as heads; 1: shared.", low=0)
    head_size: int = option(0, "Size K of a head; 0: the width over the heads.", low=0)
    implementation: Literal["naive", "chunked", "library"] | None = option(
        None, "How attention is computed; none: the best that runs here."
    )


class Read(NamedTuple):
    """The keys, values and segments of the context, kept for decoding."""

    k_BSGK: jax.Array
    v_BSGK: jax.Array
    segments_BS: jax.Array


class Cross(nnx.Module):
    """y_BTD = softmax(q k / sqrt(K)) v, queries from x, keys and values of the context.

    A token reads the whole context of its own segment: in packed rows target n reads
    source n. The output of a token whose context is empty is zero. Decoding computes
    the keys and values of the context once. Vaswani et al., 2017, arXiv:1706.03762.
    """

    Options = CrossOptions

    @checked
    def __init__(
        self, options: CrossOptions, *, width: int, length: int, rngs: nnx.Rngs
    ):
        self.options, self.width, self.length = options, width, length
        o = options
        self.sizes = head_sizes(
            "Cross-attention", o.heads, o.groups, o.head_size, width
        )
        H, G, K = self.sizes
        self.query = Projection(width, H * K, rngs=rngs)
        self.key = Projection(width, G * K, rngs=rngs)
        self.value = Projection(width, G * K, rngs=rngs)
        self.out = Projection(H * K, width, rngs=rngs)

    def __call__(
        self,
        x_BTD: jax.Array,
        segments_BT: jax.Array | None,
        context_BSD: jax.Array,
        context_segments_BS: jax.Array | None = None,
    ) -> jax.Array:
        """y_BTD; None stands for one full segment."""
        k_BSGK, v_BSGK = self._keys(context_BSD)
        return self._attended(x_BTD, segments_BT, k_BSGK, v_BSGK, context_segments_BS)

    def start(
        self,
        dtype: Any,
        context_BSD: jax.Array,
        context_segments_BS: jax.Array | None = None,
    ) -> Read:
        """The keys and values for every step; decoded rows are one segment, 1."""
        if context_segments_BS is None:
            context_segments_BS = jnp.ones(context_BSD.shape[:2], jnp.int32)
        k_BSGK, v_BSGK = self._keys(context_BSD.astype(dtype))
        return Read(k_BSGK, v_BSGK, context_segments_BS)

    def step(self, x_BD: jax.Array, carry: Read) -> tuple[jax.Array, Read]:
        """y_BD of one token, and the same carry."""
        ones_B1 = jnp.ones((x_BD.shape[0], 1), jnp.int32)
        y_B1D = self._attended(x_BD[:, None], ones_B1, *carry)
        return y_B1D[:, 0], carry

    def cost(self, length: int, context: int) -> Cost:
        """The cost of `length` tokens that read `context` tokens."""
        H, G, K = self.sizes
        project = self.width * K * (length * 2 * H + context * 2 * G)
        # By hand: a module of shapes alone cannot compute them.
        k_BSGK = jax.ShapeDtypeStruct((1, context, G, K), jnp.float32)
        segments_BS = jax.ShapeDtypeStruct((1, context), jnp.int32)
        return Cost(
            params=parameters(self),
            flops=2 * project + 4 * length * context * H * K,
            state_bytes=carry_bytes((k_BSGK, k_BSGK, segments_BS)),
        )

    def _keys(self, context_BSD: jax.Array) -> tuple[jax.Array, jax.Array]:
        shape = *context_BSD.shape[:2], *self.sizes[1:]
        key, value = self.key(context_BSD), self.value(context_BSD)
        return key.reshape(shape), value.reshape(shape)

    def _attended(
        self,
        x_BTD: jax.Array,
        segments_BT: jax.Array | None,
        k_BSGK: jax.Array,
        v_BSGK: jax.Array,
        source_BS: jax.Array | None,
    ) -> jax.Array:
        batch, time = x_BTD.shape[:2]
        H, _, K = self.sizes
        if source_BS is None and segments_BT is not None:
            source_BS = jnp.ones(k_BSGK.shape[:2], jnp.int32)
        y_BTHK = attention(
            self.query(x_BTD).reshape(batch, time, H, K),
            k_BSGK,
            v_BSGK,
            segments_BT=segments_BT,
            source_BS=source_BS,
            implementation=self.options.implementation,
        )
        return self.out(y_BTHK.reshape(batch, time, -1))
