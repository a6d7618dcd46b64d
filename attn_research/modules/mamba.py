"""Mamba: a state space whose steps and directions depend on the token."""

import math
from typing import Any, Literal

import jax
import jax.numpy as jnp
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
from attn_research.modules.segments import reading
from attn_research.modules.short_convolution import ShortConvolution
from attn_research.modules.stepping import stepping
from attn_research.ops.precision import wide
from attn_research.ops.selective import selective_scan, selective_step
from attn_research.options import declared, option

Carry = tuple[jax.Array, jax.Array]
# The range of the time steps at the start.
STEPS = 1e-3, 1e-1


@declared
class MambaOptions:
    """Options of the mixer `mamba`."""

    state: int = option(16, "Size N of the state of each channel.", low=1)
    expand: int = option(2, "Channels as a multiple of the width.", low=1)
    conv: int = option(4, "Taps of the convolution before the scan.", low=1, high=1024)
    rank: int = option(
        0, "Rank of the projection to the time steps; 0: width / 16, rounded up.", low=0
    )
    implementation: Literal["naive", "sequential", "associative"] | None = option(
        None, "Form computed, all with the same result; none: the best that runs here."
    )


class Mamba(nnx.Module):
    """y = out_projection((selective_scan(u) + skip u) silu(g)), u = silu(conv(x W)).

    Time steps softplus(u W_1 W_2 + bias) start log-uniform in [0.001, 0.1], the rates
    of the N states of a channel at 1, 2, ..., N. If not causal, a second one with its
    own weights runs from the end.
    """

    Options = MambaOptions

    @checked
    def __init__(
        self,
        options: MambaOptions,
        *,
        width: int,
        causal: bool,
        length: int,
        rngs: nnx.Rngs,
    ):
        self.options, self.causal = options, causal
        self.channels = E = options.expand * width
        N, self.rank = options.state, options.rank or -(-width // 16)
        self.input = Projection(width, 2 * E, rngs=rngs)
        self.conv = ShortConvolution(E, options.conv, bias=True, rngs=rngs)
        self.select = Projection(E, self.rank + 2 * N, rngs=rngs)
        # Uniform in +-1/sqrt(rank), so that the bias sets the steps at the start.
        self.step_kernel = nnx.Param(
            jax.random.uniform(
                rngs.params(), (self.rank, E), jnp.float32, minval=-1, maxval=1
            )
            * self.rank**-0.5
        )
        low, high = (math.log(step) for step in STEPS)
        step_E = jnp.exp(
            jax.random.uniform(
                rngs.params(), (E,), jnp.float32, minval=low, maxval=high
            )
        )
        # The inverse of softplus.
        self.step_bias = dynamics(step_E + jnp.log(-jnp.expm1(-step_E)), rate=1.0)
        rate_N = jnp.arange(1, N + 1, dtype=jnp.float32)
        log_rate_EN = jnp.broadcast_to(jnp.log(rate_N)[None], (E, N))
        self.log_rate = dynamics(log_rate_EN, rate=1.0)
        self.skip = nnx.Param(jnp.ones(E, jnp.float32))
        self.out = Projection(E, width, rngs=rngs)
        self.backward = backward(
            Mamba, options, causal=causal, width=width, length=length, rngs=rngs
        )

    @reading
    def __call__(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None = None
    ) -> jax.Array:
        return both_directions(self._forward, self.backward, x_BTD, segments_BT)

    def start(self, batch: int, length: int, dtype: Any = jnp.float32) -> Carry:
        """The states, and the inputs that the convolution still reads."""
        refuse_decoding("mamba", self.causal)
        shape = batch, self.options.state, self.channels
        return jnp.zeros(shape, wide(dtype)), self.conv.start(batch, dtype)

    @stepping
    def step(self, x_BD: jax.Array, carry: Carry) -> tuple[jax.Array, Carry]:
        h_BNE, recent_BWE = carry
        u_BE, gate_BE = jnp.split(self.input(x_BD), 2, axis=-1)
        u_BE, recent_BWE = self.conv.step(u_BE, recent_BWE)
        step_BE, rate_EN, write_BN, read_BN = self._terms(u_BE, x_BD.dtype)
        y_BE, h_BNE = selective_step(u_BE, step_BE, rate_EN, write_BN, read_BN, h_BNE)
        return self._read(y_BE, u_BE, gate_BE), (h_BNE, recent_BWE)

    def cost(self, length: int) -> Cost:
        kernels = self.input.kernel, self.select.kernel, self.step_kernel
        products = sum(kernel.get_value().size for kernel in kernels)
        products += self.out.kernel.get_value().size + self.conv.products()
        # Each state has a decay, an input and an output.
        products += 3 * self.log_rate.get_value().size + self.channels
        return cost_of(self, length, passes(self.causal) * length * products)

    reach = everything

    def _forward(self, x_BTD: jax.Array, segments_BT: jax.Array | None) -> jax.Array:
        parts_BTE = self.input(without_padding(x_BTD, segments_BT))
        u_BTE, gate_BTE = jnp.split(parts_BTE, 2, axis=-1)
        u_BTE = self.conv(u_BTE, segments_BT)
        step_BTE, rate_EN, write_BTN, read_BTN = self._terms(u_BTE, x_BTD.dtype)
        y_BTE = selective_scan(
            u_BTE,
            step_BTE,
            rate_EN,
            write_BTN,
            read_BTN,
            segments_BT=segments_BT,
            implementation=self.options.implementation,
        )
        return self._read(y_BTE, u_BTE, gate_BTE)

    def _terms(self, u: jax.Array, dtype: Any) -> tuple[jax.Array, ...]:
        """Time steps, rates, and the directions to write and to read."""
        N, work = self.options.state, u.dtype
        low, write, read = jnp.split(
            self.select(u.astype(dtype)), (self.rank, self.rank + N), axis=-1
        )
        step = low @ self.step_kernel.get_value().astype(dtype)
        bias = self.step_bias.get_value().astype(work)
        bias = jnp.expand_dims(bias, tuple(range(u.ndim - 1)))
        step = jax.nn.softplus(step.astype(work) + bias)
        rate_EN = jnp.exp(self.log_rate.get_value().astype(work))
        return step, rate_EN, write, read

    def _read(self, y: jax.Array, u: jax.Array, gate: jax.Array) -> jax.Array:
        skip = self.skip.get_value().astype(u.dtype)
        skip = jnp.expand_dims(skip, tuple(range(u.ndim - 1)))
        y = (y + u * skip) * jax.nn.silu(gate.astype(u.dtype))
        return self.out(y.astype(gate.dtype))
