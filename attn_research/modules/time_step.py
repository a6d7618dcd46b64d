"""The time step of selective state spaces, which sets a decay per token."""

import math

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.modules.contract import Projection, dynamics
from attn_research.ops.precision import wide

# The range of the time steps and of the rates at the start, as in Mamba-2.
STEPS = 1e-3, 1e-1
RATES = 1.0, 16.0


class TimeStep(nnx.Module):
    """dt = softplus(z + bias) and log decay = -dt rate, for each head.

    The steps start log-uniform in [0.001, 0.1], the rates uniform in [1, 16]: decays
    from 0.2 to 0.999. Gu and Dao, 2023, arXiv:2312.00752.

    Both learn at a tenth of the learning rate, as the dynamics of most mixers here do;
    in the released Mamba-2 and gated DeltaNet, as in our `mamba`, at all of it. That
    made no difference beyond seeds on recall of 64 tokens (width 32, two layers, 400
    steps, learning rate 1e-2): accuracies of three seeds with a tenth were 0.53, 0.72
    and 0.92 for mamba2 and 0.17, 0.37 and 0.50 for gated_delta, with all of it 0.78,
    0.70 and 0.93, and 0.16, 0.59 and 0.18.

    With `channels` there is a step for each of them and a rate for each head.
    """

    def __init__(self, heads: int, channels: int = 0, *, rngs: nnx.Rngs):
        low, high = (math.log(step) for step in STEPS)
        sizes = (heads, channels) if channels else (heads,)
        step = jnp.exp(
            jax.random.uniform(
                rngs.params(), sizes, jnp.float32, minval=low, maxval=high
            )
        )
        # The inverse of softplus.
        self.bias = dynamics(step + jnp.log(-jnp.expm1(-step)))
        sizes = (heads, 1) if channels else (heads,)
        rate = jax.random.uniform(
            rngs.params(), sizes, jnp.float32, minval=RATES[0], maxval=RATES[1]
        )
        self.log_rate = dynamics(jnp.log(rate))

    def __call__(self, z: jax.Array) -> tuple[jax.Array, jax.Array]:
        """(dt, log decay) of (..., H) or (..., H, K), in float32 at least."""
        z = z.astype(wide(z.dtype))
        lead = tuple(range(z.ndim - self.bias.get_value().ndim))
        bias, log_rate = (
            jnp.expand_dims(p.get_value().astype(z.dtype), lead)
            for p in (self.bias, self.log_rate)
        )
        step = jax.nn.softplus(z + bias)
        return step, -step * jnp.exp(log_rate)


class Rates(nnx.Module):
    """The log decay of a head, -rate softplus(x W + bias), as in gated DeltaNet."""

    def __init__(self, width: int, heads: int, *, rngs: nnx.Rngs):
        self.project = Projection(width, heads, rngs=rngs)
        self.step = TimeStep(heads, rngs=rngs)

    def log_decay(self, x: jax.Array) -> jax.Array:
        """(..., H) of x (..., D), in float32 at least."""
        return self.step(self.project(x.astype(wide(x.dtype))))[1]

    def projections(self) -> list[Projection]:
        """The projections of each token."""
        return [self.project]


class ChannelRates(nnx.Module):
    """The log decay of a channel, -rate softplus(x A B + bias); A B has the rank K.

    As in Kimi delta attention.
    """

    def __init__(self, width: int, heads: int, channels: int, *, rngs: nnx.Rngs):
        self.low = Projection(width, channels, rngs=rngs)
        self.project = Projection(channels, heads * channels, rngs=rngs)
        self.step = TimeStep(heads, channels, rngs=rngs)

    def log_decay(self, x: jax.Array) -> jax.Array:
        """(..., H, K) of x (..., D), in float32 at least."""
        z = self.project(self.low(x.astype(wide(x.dtype))))
        return self.step(z.reshape(*x.shape[:-1], *self.step.bias.get_value().shape))[1]

    def projections(self) -> list[Projection]:
        """The projections of each token."""
        return [self.low, self.project]
