"""RWKV-7: a delta rule whose keys to erase, to remove and to write differ."""

import math
from typing import Any, Literal, NamedTuple

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
from attn_research.modules.token_shift import before, in_heads, normed, row
from attn_research.modules.wide_projection import project
from attn_research.ops.delta import (
    delta_start,
    generalized_delta_rule,
    generalized_delta_step,
)
from attn_research.ops.features import unit
from attn_research.ops.precision import wide
from attn_research.options import declared, option

# The last input, and the state of the delta rule.
Carry = tuple[jax.Array, jax.Array]
# What reads its own mixture of a token and the one before.
RECEPTANCE, DECAY, KEY, VALUE, RATE, GATE = range(6)
# The log decay of a channel is at least this.
STRONGEST = -math.exp(-0.5)


class Arrays(NamedTuple):
    """What the delta rule takes: q (..., H, K), the others (..., 1, H, K)."""

    q: jax.Array
    k: jax.Array
    v: jax.Array
    erase: jax.Array
    remove: jax.Array
    log_decay: jax.Array


@declared
class RWKV7Options:
    """Options of the mixer `rwkv7`."""

    heads: int = option(2, "Number of heads; must divide the width.", low=1)
    rank: int = option(
        32, "Rank of the projections to decays and to in-context rates.", low=1
    )
    gate_rank: int = option(64, "Rank of the projection to the output gate.", low=1)
    chunk: int = option(
        64,
        "Tokens computed at once by the chunked form; the next power of two.",
        low=1,
    )
    implementation: Literal["naive", "recurrent", "chunked"] | None = option(
        None, "Form computed, all with the same result; none: the best that runs here."
    )


class RWKV7(nnx.Module):
    """S_t = (diag(w) - (a * c) c') S_{t-1} + k v, y = W_o (g * (norm(r S) + bonus)).

    Each of six projections reads a learned mixture of the token and the one before. c
    is the key scaled per channel to length 1, a its rate of learning in context, and
    the decay w is at least exp(-exp(-1/2)) per channel. The bonus is v times a weighed
    r . k. The mixing of values with those of the first layer is left out: a mixer knows
    no other layer. If not causal, a second mixer with its own weights runs from the
    end. Peng et al., 2025, arXiv:2503.14456.
    """

    Options = RWKV7Options

    @checked
    def __init__(
        self,
        options: RWKV7Options,
        *,
        width: int,
        causal: bool,
        length: int,
        rngs: nnx.Rngs,
    ):
        K = divided("rwkv7", width, options.heads)
        self.options, self.width, self.causal = options, width, causal
        self.mixture = nnx.Param(jnp.full((6, width), 0.5, jnp.float32))
        self.rkv = nnx.List(Projection(width, width, rngs=rngs) for _ in range(3))
        even_D = np.linspace(0, 1, width)
        self.decay = LowRankProjection(
            width, options.rank, bias=6 * even_D - 5.5, rngs=rngs
        )
        self.rate = LowRankProjection(
            width, options.rank, bias=0.4 * even_D - 0.4, rngs=rngs
        )
        self.gate = LowRankProjection(width, options.gate_rank, rngs=rngs)
        self.key_scale = nnx.Param(jnp.full(width, 0.7, jnp.float32))
        self.key_rate = nnx.Param(jnp.ones(width, jnp.float32))
        self.bonus = nnx.Param(jnp.full((options.heads, K), -0.04, jnp.float32))
        self.scale = nnx.Param(jnp.ones(width, jnp.float32))
        self.bias = nnx.Param(jnp.zeros(width, jnp.float32))
        self.out = Projection(width, width, rngs=rngs)
        self.backward = backward(
            RWKV7, options, causal=causal, width=width, length=length, rngs=rngs
        )

    @reading
    def __call__(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None = None
    ) -> jax.Array:
        return both_directions(self._forward, self.backward, x_BTD, segments_BT)

    def start(self, batch: int, length: int, dtype: Any = jnp.float32) -> Carry:
        refuse_decoding("rwkv7", self.causal)
        H = self.options.heads
        K = self.width // H
        last_BD = jnp.zeros((batch, self.width), wide(dtype))
        return last_BD, delta_start(batch, H, K, K, dtype)

    @stepping
    def step(self, x_BD: jax.Array, carry: Carry) -> tuple[jax.Array, Carry]:
        last_BD, state_BHKE = carry
        mixed = self._mixed(x_BD, last_BD)
        q, k, v, erase, remove, log_decay = arrays = self._arrays(mixed, x_BD.dtype)
        y_BHE, state_BHKE = generalized_delta_step(
            q, k, v, erase, state_BHKE, remove_BJHK=remove, log_decay_BHK=log_decay
        )
        y_BD = self._joined(y_BHE, arrays, mixed[GATE])
        return y_BD.astype(x_BD.dtype), (x_BD.astype(last_BD.dtype), state_BHKE)

    def cost(self, length: int) -> Cost:
        D, K = self.width, self.width // self.options.heads
        C = min(self.options.chunk, length)
        products = sum(p.kernel.get_value().size for p in (*self.rkv, self.out))
        products += sum(p.products() for p in (self.decay, self.rate, self.gate))
        # Within a chunk two arrays that read meet two that write; the system, what is
        # known of it and two reads of values; between chunks two reads, two writes.
        mixing = D * (8 * C + C // 2 + 4 * K)
        return cost_of(self, length, passes(self.causal) * length * (products + mixing))

    reach = everything

    def _forward(self, x_BTD: jax.Array, segments_BT: jax.Array | None) -> jax.Array:
        x_BTD = without_padding(x_BTD, segments_BT)
        mixed = self._mixed(x_BTD, before(x_BTD, segments_BT))
        q, k, v, erase, remove, log_decay = arrays = self._arrays(mixed, x_BTD.dtype)
        y_BTHE = generalized_delta_rule(
            q,
            k,
            v,
            erase,
            remove_BTJHK=remove,
            log_decay_BTHK=log_decay,
            segments_BT=segments_BT,
            chunk=self.options.chunk,
            implementation=self.options.implementation,
        )
        y_BTD = self._joined(y_BTHE, arrays, mixed[GATE])
        return without_padding(y_BTD.astype(x_BTD.dtype), segments_BT)

    def _mixed(self, x: jax.Array, last: jax.Array) -> list[jax.Array]:
        """Six mixtures of each token and the one before, in float32 at least."""
        work = wide(x.dtype)
        x, last = x.astype(work), last.astype(work)
        lead = tuple(range(x.ndim - 1))
        shares = self.mixture.get_value().astype(work)
        return [x + (last - x) * jnp.expand_dims(share, lead) for share in shares]

    def _arrays(self, mixed: list[jax.Array], dtype: Any) -> Arrays:
        read = (mixed[n].astype(dtype) for n in (RECEPTANCE, KEY, VALUE))
        r, k, v = (project(p, x) for p, x in zip(self.rkv, read, strict=True))
        log_decay = STRONGEST * jax.nn.sigmoid(self.decay(mixed[DECAY], jnp.tanh))
        rate = jax.nn.sigmoid(self.rate(mixed[RATE]))
        known = unit(self._heads(k * row(self.key_scale, k)))
        k = k * (1 + (rate - 1) * row(self.key_rate, k))
        r, k, v, rate, log_decay = (self._heads(z) for z in (r, k, v, rate, log_decay))
        # It reads the state before it fades: at most 1.84 of the state after.
        erase = known * jnp.exp(-log_decay)
        k, v, erase, remove = (x[..., None, :, :] for x in (k, v, erase, known * rate))
        return Arrays(r, k, v, erase, remove, log_decay)

    def _joined(self, y: jax.Array, arrays: Arrays, x: jax.Array) -> jax.Array:
        """The heads normalised, with the bonus, side by side, gated and projected."""
        y = normed(y, self.scale, self.bias)
        k, v = arrays.k[..., 0, :, :], arrays.v[..., 0, :, :]
        weigh = self._heads(row(self.bonus, y))
        own = (arrays.q * k * weigh).sum(-1, keepdims=True) * v
        y = (y + own.reshape(x.shape)) * self.gate(x, jax.nn.sigmoid)
        return self.out(y)

    def _heads(self, x: jax.Array) -> jax.Array:
        return in_heads(x, self.options.heads)
