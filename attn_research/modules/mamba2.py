"""The state space dual mixer, Mamba-2."""

from typing import Any, Literal

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
from attn_research.modules.directions import (
    backward,
    both_directions,
    passes,
    refuse_decoding,
    without_padding,
)
from attn_research.modules.head_sizes import divided
from attn_research.modules.segments import reading
from attn_research.modules.short_convolution import ShortConvolution
from attn_research.modules.stepping import stepping
from attn_research.modules.time_step import TimeStep
from attn_research.modules.wide_projection import project
from attn_research.ops.linear import linear_attention, linear_start, linear_step
from attn_research.ops.norm import rms_norm
from attn_research.ops.precision import wide
from attn_research.options import declared, option

# The last inputs of the convolution, and the state of `linear_step`.
Carry = tuple[jax.Array, ...]


@declared
class Mamba2Options:
    """Options of the mixer `mamba2`."""

    heads: int = option(4, "Number of heads; must divide the inner width.", low=1)
    state: int = option(64, "Size N of the state for each inner channel.", low=1)
    expand: int = option(2, "Inner width over the width.", low=1)
    conv: int = option(4, "Taps of the convolution before the state; 0: none.", low=0)
    chunk: int = option(64, "Tokens computed at once by the chunked form.", low=1)
    implementation: Literal["naive", "recurrent", "chunked"] | None = option(
        None, "Form computed, all with the same result; none: the best that runs here."
    )


class Mamba2(nnx.Module):
    """y = out_projection(rms_norm((ssd(x) + skip * x) * silu(z))).

    x, b and c pass a short convolution and SiLU; ssd is linear attention of queries c
    on keys b, shared by all heads, with values dt * x and the decay exp(-dt rate) of
    each token and head (Dao and Gu, 2024, arXiv:2405.21060). If not causal, a second
    mixer with its own weights runs from the end.
    """

    Options = Mamba2Options

    @checked
    def __init__(
        self,
        options: Mamba2Options,
        *,
        width: int,
        causal: bool,
        length: int,
        rngs: nnx.Rngs,
    ):
        self.inner = F = options.expand * width
        H, N = options.heads, options.state
        divided("mamba2", F, H, "inner width")
        self.options, self.causal = options, causal
        self.input = Projection(width, 2 * F + 2 * N + H, rngs=rngs)
        self.conv = ShortConvolution(F + 2 * N, options.conv, bias=True, rngs=rngs)
        self.time_step = TimeStep(H, rngs=rngs)
        self.skip = nnx.Param(jnp.ones(H, jnp.float32))
        self.scale = nnx.Param(jnp.ones(F, jnp.float32))
        self.out = Projection(F, width, rngs=rngs)
        self.backward = backward(
            Mamba2, options, causal=causal, width=width, length=length, rngs=rngs
        )

    @reading
    def __call__(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None = None
    ) -> jax.Array:
        return both_directions(self._forward, self.backward, x_BTD, segments_BT)

    def start(self, batch: int, length: int, dtype: Any = jnp.float32) -> Carry:
        refuse_decoding("mamba2", self.causal)
        o = self.options
        size = self.inner // o.heads
        state = linear_start(batch, o.heads, o.state, size, False, dtype)
        return self.conv.start(batch, wide(dtype)), *state

    @stepping
    def step(self, x_BD: jax.Array, carry: Carry) -> tuple[jax.Array, Carry]:
        recent_BWD, *state = carry
        z_BF, xbc_BF, step_BH = self._split(x_BD)
        xbc_BF, recent_BWD = self.conv.step(xbc_BF, recent_BWD)
        q, k, x_BHE, v_BHE, log_decay_BH = self._arrays(xbc_BF, step_BH)
        y_BHE, state = linear_step(q, k, v_BHE, tuple(state), log_decay=log_decay_BH)
        return self._joined(y_BHE, x_BHE, z_BF, x_BD.dtype), (recent_BWD, *state)

    def cost(self, length: int) -> Cost:
        F, N = self.inner, self.options.state
        C = min(self.options.chunk, length)
        products = self.input.kernel.get_value().size + self.out.kernel.get_value().size
        # Scores once for all heads, values for each; reading and writing the state.
        mixing = C * N + F * C + 2 * F * N + self.conv.products()
        return cost_of(self, length, passes(self.causal) * length * (products + mixing))

    reach = everything

    def _forward(self, x_BTD: jax.Array, segments_BT: jax.Array | None) -> jax.Array:
        x_BTD = without_padding(x_BTD, segments_BT)
        z_BTF, xbc_BTF, step_BTH = self._split(x_BTD)
        xbc_BTF = self.conv(xbc_BTF, segments_BT)
        q, k, x_BTHE, v_BTHE, log_decay_BTH = self._arrays(xbc_BTF, step_BTH)
        y_BTHE = linear_attention(
            q,
            k,
            v_BTHE,
            log_decay=log_decay_BTH,
            segments_BT=segments_BT,
            chunk=self.options.chunk,
            implementation=self.options.implementation,
        )
        return self._joined(y_BTHE, x_BTHE, z_BTF, x_BTD.dtype)

    def _split(self, x: jax.Array) -> list[jax.Array]:
        """The gate z, what the convolution reads (x, b, c), and the time step."""
        F, N = self.inner, self.options.state
        return jnp.split(project(self.input, x), (F, 2 * F + 2 * N), axis=-1)

    def _arrays(self, xbc: jax.Array, step: jax.Array) -> tuple[jax.Array, ...]:
        """q, k (..., 1, N), x and v = dt x (..., H, E), log decay (..., H)."""
        F, N, H = self.inner, self.options.state, self.options.heads
        x, b, c = jnp.split(xbc, (F, F + N), axis=-1)
        x = x.reshape(*x.shape[:-1], H, F // H)
        step, log_decay = self.time_step(step)
        return c[..., None, :], b[..., None, :], x, x * step[..., None], log_decay

    def _joined(
        self, y: jax.Array, x: jax.Array, z: jax.Array, dtype: Any
    ) -> jax.Array:
        """The heads side by side with the skip, gated, normalised, projected."""
        skip_H1 = self.skip.get_value().astype(y.dtype)[:, None]
        y = y + x * jnp.expand_dims(skip_H1, tuple(range(x.ndim - 2)))
        y = y.reshape(z.shape) * jax.nn.silu(z)
        return self.out(rms_norm(y, self.scale.get_value()).astype(dtype))
