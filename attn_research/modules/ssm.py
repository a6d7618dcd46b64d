"""S4D: a diagonal, time-invariant state space for each channel."""

import math
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
from attn_research.modules.segments import reading
from attn_research.modules.stepping import stepping
from attn_research.ops.precision import wide
from attn_research.ops.ssm import state_space, state_space_step
from attn_research.options import declared, option


@declared
class S4DOptions:
    """Options of the mixer `s4d`."""

    state: int = option(
        32,
        "Complex states N of each channel, each with its conjugate.",
        low=1,
        high=65536,
    )
    init: Literal["linear", "inverse"] = option(
        "linear", "Frequencies at the start: S4D-Lin or S4D-Inv of the source."
    )
    slowest: float = option(1e-3, "Least time step at the start.", above=0)
    fastest: float = option(1e-1, "Largest time step at the start.", above=0)
    implementation: Literal["naive", "sequential", "convolution"] | None = option(
        None, "Form computed, all with the same result; none: the best that runs here."
    )


class Readout(nnx.Module):
    """The output of a state: a sigmoid(b), a and b projections of gelu(y + skip u)."""

    def __init__(self, width: int, *, rngs: nnx.Rngs):
        self.skip = nnx.Param(jax.random.normal(rngs.params(), (width,), jnp.float32))
        self.project = Projection(width, 2 * width, rngs=rngs)

    def __call__(self, y: jax.Array, u: jax.Array) -> jax.Array:
        work = wide(u.dtype)
        skip = self.skip.get_value().astype(work)
        skip = jnp.expand_dims(skip, tuple(range(u.ndim - 1)))
        z = jax.nn.gelu(y.astype(work) + skip * u.astype(work)).astype(u.dtype)
        value, gate = jnp.split(self.project(z), 2, axis=-1)
        return value * jax.nn.sigmoid(gate)


class S4D(nnx.Module):
    """y = readout(state_space(x)) with poles -rate + i frequency and steps dt, learned.

    h' = A h + u held constant over a step, y = 2 Re(C h). Rates start at 1/2, the
    frequencies at pi n (linear) or (2N / pi) (2N / (2n + 1) - 1) (inverse), the steps
    log-uniform per channel. If not causal, a second one runs from the end.
    """

    Options = S4DOptions

    @checked
    def __init__(
        self,
        options: S4DOptions,
        *,
        width: int,
        causal: bool,
        length: int,
        rngs: nnx.Rngs,
    ):
        self.options, self.width, self.causal = options, width, causal
        N = options.state
        n = np.arange(N)
        frequency_N = {
            "linear": math.pi * n,
            "inverse": 2 * N / math.pi * (2 * N / (2 * n + 1) - 1),
        }[options.init]
        low, high = math.log(options.slowest), math.log(options.fastest)
        self.log_step = dynamics(
            jax.random.uniform(
                rngs.params(), (width,), jnp.float32, minval=low, maxval=high
            )
        )
        self.log_rate = dynamics(jnp.full((width, N), math.log(0.5), jnp.float32))
        frequency_DN = np.tile(frequency_N.astype(np.float32), (width, 1))
        self.frequency = dynamics(jnp.asarray(frequency_DN))
        # Real and imaginary parts with a total variance of 1.
        read_2DN = jax.random.normal(rngs.params(), (2, width, N), jnp.float32)
        self.read = nnx.Param(read_2DN * 0.5**0.5)
        self.out = Readout(width, rngs=rngs)
        self.backward = backward(
            S4D, options, causal=causal, width=width, length=length, rngs=rngs
        )

    @reading
    def __call__(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None = None
    ) -> jax.Array:
        return both_directions(self._forward, self.backward, x_BTD, segments_BT)

    def start(self, batch: int, length: int, dtype: Any = jnp.float32) -> jax.Array:
        refuse_decoding("s4d", self.causal)
        shape = batch, self.width, self.options.state
        return jnp.zeros(shape, np.promote_types(wide(dtype), np.complex64))

    @stepping
    def step(self, x_BD: jax.Array, carry: jax.Array) -> tuple[jax.Array, jax.Array]:
        log_DN, read_DN = self._discrete(wide(x_BD.dtype))
        y_BD, carry = state_space_step(x_BD, log_DN, read_DN, carry)
        return self.out(y_BD, x_BD), carry

    def cost(self, length: int) -> Cost:
        D, N = self.width, self.options.state
        # As a recurrence: a complex product for each state and its reading.
        products = D * (6 * N + 1) + self.out.project.kernel.get_value().size
        return cost_of(self, length, passes(self.causal) * length * products)

    reach = everything

    def _forward(self, x_BTD: jax.Array, segments_BT: jax.Array | None) -> jax.Array:
        x_BTD = without_padding(x_BTD, segments_BT)
        log_DN, read_DN = self._discrete(wide(x_BTD.dtype))
        y_BTD = state_space(
            x_BTD,
            log_DN,
            read_DN,
            segments_BT=segments_BT,
            implementation=self.options.implementation,
        )
        return self.out(y_BTD, x_BTD)

    def _discrete(self, work: Any) -> tuple[jax.Array, jax.Array]:
        """dt A, and C (exp(dt A) - 1) / A: the input held constant over a step."""
        log_step, log_rate, frequency, read = (
            p.get_value().astype(work)
            for p in (self.log_step, self.log_rate, self.frequency, self.read)
        )
        pole_DN = jax.lax.complex(-jnp.exp(log_rate), frequency)
        log_DN = jnp.exp(log_step)[:, None].astype(pole_DN.dtype) * pole_DN
        held_DN = jnp.expm1(log_DN) / pole_DN
        return log_DN, jax.lax.complex(read[0], read[1]) * held_DN
