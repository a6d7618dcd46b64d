"""RWKV-6: a matrix state, a decay computed per channel, a bonus for the token."""

from typing import Any, Literal

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
from attn_research.modules.directions import (
    backward,
    both_directions,
    passes,
    refuse_decoding,
    without_padding,
)
from attn_research.modules.head_sizes import divided
from attn_research.modules.low_rank_projection import LowRankProjection
from attn_research.modules.segments import reading
from attn_research.modules.stepping import stepping
from attn_research.modules.token_shift import before, in_heads, normed
from attn_research.modules.wide_projection import project
from attn_research.ops.linear.bonus import bonus_attention, bonus_step
from attn_research.ops.precision import wide
from attn_research.options import declared, option

# The last input, and the state of `bonus_step`.
Carry = tuple[jax.Array, jax.Array]
# What reads its own mixture of a token and the one before.
RECEPTANCE, KEY, VALUE, GATE, DECAY = range(5)


@declared
class RWKV6Options:
    """Options of the mixer `rwkv6`."""

    heads: int = option(2, "Number of heads; must divide the width.", low=1)
    rank: int = option(
        32, "Rank of the projections to the shares of the token before.", low=1
    )
    decay_rank: int = option(64, "Rank of the projection to the decays.", low=1)
    chunk: int = option(
        64,
        "Tokens computed at once by the chunked form; the next power of two.",
        low=1,
    )
    implementation: Literal["naive", "chunked"] | None = option(
        None, "Form computed, both with the same result; none: the best that runs here."
    )


class RWKV6(nnx.Module):
    """o_t = r_t (S_{t-1} + diag(u) k_t v_t'), S_t = diag(w_t) S_{t-1} + k_t v_t'.

    y = W_o (SiLU(g) * norm(o)), each head layer-normalised. r, k, v, g and the decay
    w = exp(-exp(.)) each read a mixture of the token and the one before, whose shares
    are computed from both by a low-rank projection. If not causal, a second mixer with
    its own weights runs from the end. Peng et al., 2024, arXiv:2404.05892.
    """

    Options = RWKV6Options

    @checked
    def __init__(
        self,
        options: RWKV6Options,
        *,
        width: int,
        causal: bool,
        length: int,
        rngs: nnx.Rngs,
    ):
        K = divided("rwkv6", width, options.heads)
        self.options, self.width, self.causal = options, width, causal
        self.mixture = nnx.Param(jnp.full((6, width), 0.5, jnp.float32))
        self.low = Projection(width, 5 * options.rank, rngs=rngs)
        self.high = nnx.List(
            Projection(options.rank, width, rngs=rngs, scale=0.01) for _ in range(5)
        )
        self.rkvg = nnx.List(Projection(width, width, rngs=rngs) for _ in range(4))
        # As published for a layer in the middle: decays of 0.9975 to 0.69, and a bonus
        # that falls over the channels.
        even_D = np.linspace(0, 1, width)
        self.decay = LowRankProjection(
            width, options.decay_rank, bias=5 * even_D**1.35 - 6, rngs=rngs
        )
        bonus_HK = jnp.asarray(0.5 * (1 - even_D), jnp.float32)
        self.bonus = nnx.Param(bonus_HK.reshape(options.heads, K))
        self.scale = nnx.Param(jnp.ones(width, jnp.float32))
        self.bias = nnx.Param(jnp.zeros(width, jnp.float32))
        self.out = Projection(width, width, rngs=rngs)
        self.backward = backward(
            RWKV6, options, causal=causal, width=width, length=length, rngs=rngs
        )

    @reading
    def __call__(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None = None
    ) -> jax.Array:
        return both_directions(self._forward, self.backward, x_BTD, segments_BT)

    def start(self, batch: int, length: int, dtype: Any = jnp.float32) -> Carry:
        refuse_decoding("rwkv6", self.causal)
        H = self.options.heads
        K, work = self.width // H, wide(dtype)
        return jnp.zeros((batch, self.width), work), jnp.zeros((batch, H, K, K), work)

    @stepping
    def step(self, x_BD: jax.Array, carry: Carry) -> tuple[jax.Array, Carry]:
        last_BD, state_BHKK = carry
        q, k, v, log_decay, gate = self._arrays(x_BD, last_BD)
        bonus_HK = self.bonus.get_value()
        y_BHK, state_BHKK = bonus_step(
            q, k, v, bonus_HK, state_BHKK, log_decay_BHM=log_decay
        )
        y_BD = self._joined(y_BHK, gate).astype(x_BD.dtype)
        return y_BD, (x_BD.astype(last_BD.dtype), state_BHKK)

    def cost(self, length: int) -> Cost:
        D, K = self.width, self.width // self.options.heads
        C = min(self.options.chunk, length)
        projections = self.low, *self.high, *self.rkvg, self.out
        products = sum(p.kernel.get_value().size for p in projections)
        products += self.decay.products()
        # Within a chunk scores and values, between chunks reading and writing.
        mixing = D * (2 * C + 2 * K)
        return cost_of(self, length, passes(self.causal) * length * (products + mixing))

    reach = everything

    def _forward(self, x_BTD: jax.Array, segments_BT: jax.Array | None) -> jax.Array:
        x_BTD = without_padding(x_BTD, segments_BT)
        q, k, v, log_decay, gate = self._arrays(x_BTD, before(x_BTD, segments_BT))
        y_BTHK = bonus_attention(
            q,
            k,
            v,
            self.bonus.get_value(),
            log_decay_BTHM=log_decay,
            segments_BT=segments_BT,
            chunk=self.options.chunk,
            implementation=self.options.implementation,
        )
        y_BTD = self._joined(y_BTHK, gate).astype(x_BTD.dtype)
        return without_padding(y_BTD, segments_BT)

    def _arrays(self, x: jax.Array, last: jax.Array) -> tuple[jax.Array, ...]:
        """q, k, v, the log decay (..., H, K) and the gate (..., D), wide."""
        mixed = self._mixed(x, last)
        # The first tokens read r . k of few terms, in which rounding would show.
        q, k = (self.rkvg[n](mixed[n]) for n in (RECEPTANCE, KEY))
        v, gate = (
            project(self.rkvg[n], mixed[n].astype(x.dtype)) for n in (VALUE, GATE)
        )
        log_decay = -jnp.exp(self.decay(mixed[DECAY], jnp.tanh))
        heads = (in_heads(z, self.options.heads) for z in (q, k, v, log_decay))
        return *heads, gate

    def _mixed(self, x: jax.Array, last: jax.Array) -> list[jax.Array]:
        """Five mixtures of each token and the one before, in float32 at least."""
        work = wide(x.dtype)
        x, last = x.astype(work), last.astype(work)
        first, *shares = self.mixture.get_value().astype(work)
        lead = tuple(range(x.ndim - 1))
        both = x + (last - x) * jnp.expand_dims(first, lead)
        low = jnp.split(jnp.tanh(self.low(both)), 5, axis=-1)
        return [
            x + (last - x) * (jnp.expand_dims(share, lead) + high(z))
            for share, high, z in zip(shares, self.high, low, strict=True)
        ]

    def _joined(self, y: jax.Array, gate: jax.Array) -> jax.Array:
        """The heads normalised, side by side, gated and projected."""
        return self.out(normed(y, self.scale, self.bias) * jax.nn.silu(gate))
