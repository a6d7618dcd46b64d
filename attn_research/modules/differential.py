"""Differential attention: what two softmaxes weigh alike is taken out."""

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
from attn_research.modules.segments import reading
from attn_research.modules.stepping import stepping
from attn_research.modules.wide_projection import project
from attn_research.ops.dense import attention, weigh
from attn_research.ops.masks import CAUSAL, FULL, pairs
from attn_research.ops.norm import rms_norm
from attn_research.ops.positions import positions, rope
from attn_research.options import BadInput, declared, option


@declared
class DifferentialOptions:
    """Options of the mixer `differential`."""

    heads: int = option(
        2, "Heads H, each of two softmaxes; 2 H must divide the width.", low=1
    )
    start: float = option(
        0.5, "The share of the second softmax at first, lambda_init.", above=0, below=1
    )
    positions: Literal["none", "rope"] = option(
        "none", "Rotate queries and keys by their positions."
    )
    base: float = option(10_000.0, "Slowest wavelength of RoPE over 2 pi.", above=1)
    implementation: Literal["naive", "chunked"] | None = option(
        None, "How attention is computed; none: the best that runs here."
    )


class Pairs(NamedTuple):
    """Two keys and a value of each head for the tokens in memory, and their number."""

    k_BSXK: jax.Array
    v_BSHE: jax.Array
    time: jax.Array


class Differential(nnx.Module):
    """y = W_o (1 - l) rms_norm((softmax(q k) - L softmax(q' k')) v), per head.

    Scores are divided by sqrt(K). Each head has two queries and two keys of size K, and
    a value of 2 K numbers. The share is learned: L = exp(a b) - exp(a' b') + l, with
    vectors of K numbers that all heads share, from l = `start` on. Published, l rises
    from layer to layer, from 0.2 to 0.8; a mixer knows no other layer. Ye et al., 2024,
    arXiv:2410.05258.
    """

    Options = DifferentialOptions

    @checked
    def __init__(
        self,
        options: DifferentialOptions,
        *,
        width: int,
        causal: bool,
        length: int,
        rngs: nnx.Rngs,
    ):
        o = options
        self.options, self.width, self.causal = options, width, causal
        if width % (2 * o.heads):
            raise BadInput(
                f"differential has the width {width} and {o.heads} heads of two "
                "softmaxes each; twice the heads must divide the width"
            )
        self.size = K = width // (2 * o.heads)
        if o.positions == "rope" and K % 2:
            raise BadInput(
                f"RoPE rotates pairs; differential has keys of size {K}, it must be "
                "even"
            )
        self.query = Projection(width, width, rngs=rngs)
        self.key = Projection(width, width, rngs=rngs)
        self.value = Projection(width, width, rngs=rngs)
        self.out = Projection(width, width, rngs=rngs)
        drawn_4K = 0.1 * jax.random.normal(rngs.params(), (4, K), jnp.float32)
        self.shares = nnx.Param(drawn_4K)
        self.scale = nnx.Param(jnp.ones(2 * K, jnp.float32))

    @reading
    def __call__(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None = None
    ) -> jax.Array:
        x_BTD = without_padding(x_BTD, segments_BT)
        B, T, _ = x_BTD.shape
        q_BTXK, k_BTXK, v_BTHE = self._split(x_BTD, positions(B, T, segments_BT))
        y_BTXE = attention(
            q_BTXK,
            k_BTXK,
            jnp.repeat(v_BTHE, 2, axis=2),
            mask=CAUSAL if self.causal else FULL,
            segments_BT=segments_BT,
            implementation=self.options.implementation,
        )
        return self._joined(y_BTXE, x_BTD.dtype)

    def start(self, batch: int, length: int, dtype: Any = jnp.float32) -> Pairs:
        """An empty cache for `length` tokens; raises BadInput if bidirectional."""
        refuse_decoding("differential", self.causal)
        H, K = self.options.heads, self.size
        return Pairs(
            jnp.zeros((batch, length, 2 * H, K), dtype),
            jnp.zeros((batch, length, H, 2 * K), dtype),
            jnp.zeros((), jnp.int32),
        )

    @stepping
    def step(self, x_BD: jax.Array, carry: Pairs) -> tuple[jax.Array, Pairs]:
        """y_BD and the cache with this token; NaN after the length of `start`."""
        (B, _), S = x_BD.shape, carry.k_BSXK.shape[1]
        here_B1 = jnp.broadcast_to(carry.time, (B, 1))
        q_B1XK, k_B1XK, v_B1HE = self._split(x_BD[:, None], here_B1)
        slot, update = carry.time % S, jax.lax.dynamic_update_slice_in_dim
        k_BSXK = update(carry.k_BSXK, k_B1XK.astype(carry.k_BSXK.dtype), slot, axis=1)
        v_BSHE = update(carry.v_BSHE, v_B1HE.astype(k_BSXK.dtype), slot, axis=1)
        seen_S = jnp.arange(S, dtype=jnp.int32) <= carry.time
        y_B1XE = weigh(
            q_B1XK,
            k_BSXK,
            jnp.repeat(v_BSHE.astype(v_B1HE.dtype), 2, axis=2),
            jnp.broadcast_to(seen_S, (B, 1, S)),
        )
        y_BD = jnp.where(
            carry.time < S, self._joined(y_B1XE, x_BD.dtype)[:, 0], jnp.nan
        )
        return y_BD, Pairs(k_BSXK, v_BSHE, carry.time + 1)

    def cost(self, length: int) -> Cost:
        seen = pairs(CAUSAL if self.causal else FULL, length)
        # Each of the 2 H softmaxes has keys of size K and reads values of size 2 K.
        met = 2 * self.options.heads * 3 * self.size
        return cost_of(self, length, length * 4 * self.width**2 + seen * met)

    reach = everything

    def share(self, dtype: Any = jnp.float32) -> jax.Array:
        """L, the share of the second softmax that is taken away."""
        a, b, a_2, b_2 = self.shares.get_value().astype(dtype)
        return jnp.exp((a * b).sum()) - jnp.exp((a_2 * b_2).sum()) + self.options.start

    def _split(
        self, x_BTD: jax.Array, here_BT: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """q_BTXK and k_BTXK, the two of each head side by side, and v_BTHE."""
        (B, T), H, K = here_BT.shape, self.options.heads, self.size
        q_BTXK, k_BTXK = (
            p(x_BTD).reshape(B, T, 2 * H, K) for p in (self.query, self.key)
        )
        if self.options.positions == "rope":
            base = self.options.base
            q_BTXK, k_BTXK = (rope(z, here_BT, base) for z in (q_BTXK, k_BTXK))
        # Wide, so that the norm reads the difference of wide sums.
        v_BTHE = project(self.value, x_BTD).reshape(B, T, H, 2 * K)
        return q_BTXK, k_BTXK, v_BTHE

    def _joined(self, y_BTXE: jax.Array, dtype: Any) -> jax.Array:
        """The differences of the heads, normalised, side by side and projected."""
        B, T = y_BTXE.shape[:2]
        share = self.share(y_BTXE.dtype)
        y_BTHE = y_BTXE[:, :, ::2] - share * y_BTXE[:, :, 1::2]
        y_BTHE = rms_norm(y_BTHE, self.scale.get_value()) * (1 - self.options.start)
        return self.out(y_BTHE.reshape(B, T, self.width).astype(dtype))
