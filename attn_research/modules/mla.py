"""Multi-head latent attention: keys and values are made from one vector per token."""

import math
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
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
from attn_research.ops.dense import attention, weigh
from attn_research.ops.masks import CAUSAL, FULL, pairs
from attn_research.ops.norm import rms_norm
from attn_research.ops.positions import positions, rope
from attn_research.options import BadInput, declared, option


@declared
class MLAOptions:
    """Options of the mixer `mla`."""

    heads: int = option(4, "Query heads H.", low=1)
    head_size: int = option(
        0, "Size K of a head without its rotary part; 0: the width over heads.", low=0
    )
    rank: int = option(0, "Size M of the latent vector; 0: half the width.", low=0)
    rotary: int = option(
        0, "Size of the rotary key, even; 0: that of half a head, at least 2.", low=0
    )
    query_rank: int = option(
        0, "Rank of the projection to the queries; 0: that of one matrix.", low=0
    )
    base: float = option(10_000.0, "Slowest wavelength of RoPE over 2 pi.", above=1)
    implementation: Literal["naive", "chunked"] | None = option(
        None, "How attention is computed; none: the best that runs here."
    )


class Latent(NamedTuple):
    """The latent vectors and rotary keys in memory, and the number of tokens seen."""

    c_BSM: jax.Array
    key_BSR: jax.Array
    time: jax.Array


class MLA(nnx.Module):
    """y = W_o softmax((q k + q' k') / sqrt(K + R)) v, with k = W_k c and v = W_v c.

    c = rms_norm(x W_c), of M numbers, and the rotary key k' of R numbers, which all
    heads share, are what decoding keeps of a token: there W_k is applied to the query
    and W_v to what was read, so that no key and no value is ever made. Positions are
    in q' and k' alone. DeepSeek-AI, 2024, arXiv:2405.04434.
    """

    Options = MLAOptions

    @checked
    def __init__(
        self,
        options: MLAOptions,
        *,
        width: int,
        causal: bool,
        length: int,
        rngs: nnx.Rngs,
    ):
        o, H = options, options.heads
        self.options, self.width, self.causal = options, width, causal
        self.size = K = sized("mla", H, o.head_size, width)
        self.rank = M = o.rank or max(1, width // 2)
        self.rotary = R = o.rotary or max(2, K // 4 * 2)
        if R % 2:
            raise BadInput(f"RoPE rotates pairs; rotary of mla is {R}, it must be even")
        low = o.query_rank
        self.low = Projection(width, low, rngs=rngs) if low else None
        self.low_scale = nnx.Param(jnp.ones(low, jnp.float32)) if low else None
        self.query = Projection(low or width, H * (K + R), rngs=rngs)
        self.down = Projection(width, M + R, rngs=rngs)
        self.scale = nnx.Param(jnp.ones(M, jnp.float32))
        self.key = Projection(M, H * K, rngs=rngs)
        self.value = Projection(M, H * K, rngs=rngs)
        self.out = Projection(H * K, width, rngs=rngs)

    @reading
    def __call__(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None = None
    ) -> jax.Array:
        x_BTD = without_padding(x_BTD, segments_BT)
        (B, T), (H, K) = x_BTD.shape[:2], (self.options.heads, self.size)
        here_BT = positions(B, T, segments_BT)
        q_BTHK = self._queries(x_BTD, here_BT)
        c_BTM, key_BTR = self._latent(x_BTD, here_BT)
        k_BTHK = self.key(c_BTM).reshape(B, T, H, K)
        shared_BTHR = jnp.broadcast_to(key_BTR[:, :, None], (B, T, H, self.rotary))
        y_BTHK = attention(
            q_BTHK,
            jnp.concatenate([k_BTHK, shared_BTHR], axis=-1),
            self.value(c_BTM).reshape(B, T, H, K),
            mask=CAUSAL if self.causal else FULL,
            segments_BT=segments_BT,
            implementation=self.options.implementation,
        )
        return self.out(y_BTHK.reshape(B, T, H * K))

    def start(self, batch: int, length: int, dtype: Any = jnp.float32) -> Latent:
        """An empty cache for `length` tokens; raises BadInput if bidirectional."""
        refuse_decoding("mla", self.causal)
        return Latent(
            jnp.zeros((batch, length, self.rank), dtype),
            jnp.zeros((batch, length, self.rotary), dtype),
            jnp.zeros((), jnp.int32),
        )

    @stepping
    def step(self, x_BD: jax.Array, carry: Latent) -> tuple[jax.Array, Latent]:
        """y_BD and the cache with this token; NaN after the length of `start`."""
        H, K, M, R = self.options.heads, self.size, self.rank, self.rotary
        (B, _), S = x_BD.shape, carry.c_BSM.shape[1]
        here_B1 = jnp.broadcast_to(carry.time, (B, 1))
        latent_B1M, key_B1R = self._latent(x_BD[:, None], here_B1)
        slot = carry.time % S
        update = jax.lax.dynamic_update_slice_in_dim
        c_BSM = update(carry.c_BSM, latent_B1M.astype(carry.c_BSM.dtype), slot, axis=1)
        key_BSR = update(carry.key_BSR, key_B1R.astype(c_BSM.dtype), slot, axis=1)
        q_B1HK = self._queries(x_BD[:, None], here_B1)
        up_MHK, read_MHK = (
            p.kernel.get_value().astype(x_BD.dtype).reshape(M, H, K)
            for p in (self.key, self.value)
        )
        q_B1HM = jnp.einsum("BTHK,MHK->BTHM", q_B1HK[..., :K], up_MHK)
        q_B1HX = jnp.concatenate([q_B1HM, q_B1HK[..., K:]], axis=-1)
        # `weigh` divides by the root of M + R.
        q_B1HX = q_B1HX * math.sqrt((M + R) / (K + R))
        seen_S = jnp.arange(S, dtype=jnp.int32) <= carry.time
        y_B1HM = weigh(
            q_B1HX,
            jnp.concatenate([c_BSM, key_BSR], axis=-1)[:, :, None],
            c_BSM[:, :, None],
            jnp.broadcast_to(seen_S, (B, 1, S)),
        )
        y_B1HK = jnp.einsum("BTHM,MHK->BTHK", y_B1HM, read_MHK)
        y_BD = self.out(y_B1HK.reshape(B, H * K))
        y_BD = jnp.where(carry.time < S, y_BD, jnp.nan)
        return y_BD, Latent(c_BSM, key_BSR, carry.time + 1)

    def cost(self, length: int) -> Cost:
        made = self.low, self.query, self.down, self.key, self.value, self.out
        products = sum(p.kernel.get_value().size for p in made if p is not None)
        seen = pairs(CAUSAL if self.causal else FULL, length)
        met = self.options.heads * (2 * self.size + self.rotary)
        return cost_of(self, length, length * products + seen * met)

    reach = everything

    def _queries(self, x_BTD: jax.Array, here_BT: jax.Array) -> jax.Array:
        """q_BTHK of size K + R, the last R rotated."""
        H, K = self.options.heads, self.size
        if self.low is not None and self.low_scale is not None:
            x_BTD = rms_norm(self.low(x_BTD), self.low_scale.get_value())
        q_BTHK = self.query(x_BTD).reshape(*here_BT.shape, H, K + self.rotary)
        plain, turned = jnp.split(q_BTHK, [K], axis=-1)
        turned = rope(turned, here_BT, self.options.base)
        return jnp.concatenate([plain, turned], axis=-1)

    def _latent(
        self, x_BTD: jax.Array, here_BT: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """c_BTM, normalised, and the rotary key_BTR."""
        c_BTM, key_BTR = jnp.split(self.down(x_BTD), [self.rank], axis=-1)
        key_BT1R = rope(key_BTR[:, :, None], here_BT, self.options.base)
        return rms_norm(c_BTM, self.scale.get_value()), key_BT1R[:, :, 0]
