"""HGRN2: a gated recurrence whose state is an outer product, with tied keys."""

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
    dynamics,
    everything,
)
from attn_research.modules.directions import (
    backward,
    both_directions,
    passes,
    refuse_decoding,
    without_padding,
)
from attn_research.modules.head_norm import DAMPING
from attn_research.modules.head_sizes import divided
from attn_research.modules.segments import reading
from attn_research.modules.stepping import stepping
from attn_research.modules.wide_projection import project
from attn_research.ops.linear import linear_attention, linear_start, linear_step
from attn_research.ops.norm import rms_norm
from attn_research.ops.precision import wide
from attn_research.options import declared, option

# The state of `linear_step`.
Carry = tuple[jax.Array, ...]


@declared
class HGRN2Options:
    """Options of the mixer `hgrn2`."""

    heads: int = option(2, "Number of heads; must divide the width.", low=1)
    bound: float = option(
        0.5,
        "Where the lower bounds of the forget gates start, one learned per channel.",
        above=0,
        below=1,
    )
    chunk: int = option(
        64,
        "Tokens computed at once by the chunked form; the next power of two.",
        low=1,
    )
    implementation: Literal["naive", "recurrent", "chunked"] | None = option(
        None, "Form computed, all with the same result; none: the best that runs here."
    )


class HGRN2(nnx.Module):
    """S_t = diag(f_t) S_{t-1} + (1 - f_t) v_t', y = W_o rms_norm(S_t' q_t) per head.

    q = SiLU(x W_q), v = x W_v and f = b + (1 - b) sigmoid(x W_f): what a channel does
    not keep it writes. The bounds b are learned per channel. Published, they rise from
    layer to layer, from zero in the first; a mixer knows no other layer, so that here
    each starts at `bound`. If not causal, a second mixer with its own weights runs from
    the end. Qin et al., 2024, arXiv:2404.07904.
    """

    Options = HGRN2Options

    @checked
    def __init__(
        self,
        options: HGRN2Options,
        *,
        width: int,
        causal: bool,
        length: int,
        rngs: nnx.Rngs,
    ):
        divided("hgrn2", width, options.heads)
        self.options, self.width, self.causal = options, width, causal
        self.qv = Projection(width, 2 * width, rngs=rngs)
        self.forget = Projection(width, width, rngs=rngs)
        odds = np.log(options.bound) - np.log1p(-options.bound)
        self.bound = dynamics(jnp.full(width, odds, jnp.float32))
        self.scale = nnx.Param(jnp.ones(width, jnp.float32))
        self.out = Projection(width, width, rngs=rngs)
        self.backward = backward(
            HGRN2, options, causal=causal, width=width, length=length, rngs=rngs
        )

    @reading
    def __call__(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None = None
    ) -> jax.Array:
        return both_directions(self._forward, self.backward, x_BTD, segments_BT)

    def start(self, batch: int, length: int, dtype: Any = jnp.float32) -> Carry:
        refuse_decoding("hgrn2", self.causal)
        H = self.options.heads
        K = self.width // H
        return linear_start(batch, H, K, K, False, dtype)

    @stepping
    def step(self, x_BD: jax.Array, carry: Carry) -> tuple[jax.Array, Carry]:
        q, k, v, log_decay = self._arrays(x_BD)
        y_BHE, carry = linear_step(q, k, v, carry, log_decay=log_decay)
        return self._joined(y_BHE, x_BD), carry

    def cost(self, length: int) -> Cost:
        D, K = self.width, self.width // self.options.heads
        C = min(self.options.chunk, length)
        projections = self.qv, self.forget, self.out
        products = sum(p.kernel.get_value().size for p in projections)
        # Within a chunk scores and values, between chunks reading and writing.
        mixing = D * (2 * C + 2 * K)
        return cost_of(self, length, passes(self.causal) * length * (products + mixing))

    reach = everything

    def _forward(self, x_BTD: jax.Array, segments_BT: jax.Array | None) -> jax.Array:
        x_BTD = without_padding(x_BTD, segments_BT)
        q, k, v, log_decay = self._arrays(x_BTD)
        y_BTHE = linear_attention(
            q,
            k,
            v,
            log_decay=log_decay,
            segments_BT=segments_BT,
            chunk=self.options.chunk,
            implementation=self.options.implementation,
        )
        return self._joined(y_BTHE, x_BTD)

    def _arrays(self, x: jax.Array) -> tuple[jax.Array, ...]:
        """q, k, v and the log decay (..., H, K), in float32 at least."""
        q, v = jnp.split(project(self.qv, x), 2, axis=-1)
        z = self.forget(x.astype(wide(x.dtype)))
        bound = self.bound.get_value().astype(z.dtype)
        bound = jnp.expand_dims(bound, tuple(range(z.ndim - 1)))
        free = jax.nn.log_sigmoid(-bound)
        log_decay = jnp.logaddexp(
            jax.nn.log_sigmoid(bound), free + jax.nn.log_sigmoid(z)
        )
        # 1 - f, without a difference.
        k = jnp.exp(free) * jax.nn.sigmoid(-z)
        H = self.options.heads
        arrays = jax.nn.silu(q), k, v, log_decay
        q, k, v, log_decay = (a.reshape(*x.shape[:-1], H, -1) for a in arrays)
        return q, k, v, log_decay

    def _joined(self, y: jax.Array, x: jax.Array) -> jax.Array:
        """The heads side by side, normalised as one vector and projected."""
        y = rms_norm(y.reshape(x.shape) * DAMPING, self.scale.get_value())
        return self.out(y.astype(x.dtype))
