"""Convolutions as long as the sequence, with kernels from a small network."""

import math
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.modules.contract import Projection, dynamics
from attn_research.ops.fft import long_convolution
from attn_research.ops.precision import wide
from attn_research.options import option

# A kernel has faded to LEFT after FAST to SLOW times the built length, over channels.
LEFT, FAST, SLOW = 1e-2, 0.3, 1.5
Implementation = Literal["naive", "halving", "fft"]


class Filter(NamedTuple):
    """The sizes of a filter's network, and the form of its convolution."""

    hidden: int
    bands: int
    frequency: float
    implementation: Implementation | None


def hidden_option() -> Any:
    return option(64, "Width of the network of a long filter.", low=1)


def bands_option() -> Any:
    return option(8, "Frequencies of the distance that the network reads.", low=1)


def frequency_option() -> Any:
    return option(1.0, "Frequency of the network's sines at the start.", above=0)


def implementation_option() -> Any:
    return option(
        None,
        "Form of long convolutions; none: halving; fft is faster, but its rounding "
        "errors leak the future.",
    )


class History(NamedTuple):
    """The past of a long convolution.

    past_BSD: all inputs so far, token s at s; time: their number.
    """

    past_BSD: jax.Array
    time: jax.Array


class LongConvolution(nnx.Module):
    """kernel * x on each channel, kernel_t = network(t) exp(-rate t / length).

    The network is a perceptron with sine activations; its features are t / length and
    the cosine and sine of `bands` multiples of it. A kernel has faded to 1 % after 0.3
    to 1.5 times the built length, over the channels. It does not depend on the number
    of tokens. Poli et al., 2023, arXiv:2302.10866.
    """

    def __init__(self, channels: int, filter: Filter, *, length: int, rngs: nnx.Rngs):
        self.channels, self.filter, self.length = channels, filter, length
        sizes = (1 + 2 * filter.bands, filter.hidden, filter.hidden, channels)
        self.layers = nnx.List(
            Projection(sizes[i], sizes[i + 1], rngs=rngs, bias=i < 2) for i in range(3)
        )
        frequency_F = jnp.full(filter.hidden, filter.frequency, jnp.float32)
        self.frequency = nnx.Param(frequency_F)
        slow, fast = (-math.log(LEFT) / share for share in (SLOW, FAST))
        self.rate = dynamics(jnp.linspace(slow, fast, channels, dtype=jnp.float32))

    def __call__(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None = None
    ) -> jax.Array:
        return long_convolution(
            x_BTD,
            self.kernel(x_BTD.shape[1], x_BTD.dtype),
            segments_BT=segments_BT,
            implementation=self.filter.implementation,
        )

    def start(self, batch: int, length: int, dtype: Any) -> History:
        """A history of up to `length` tokens before the first."""
        zeros_BSD = jnp.zeros((batch, length, self.channels), dtype)
        return History(zeros_BSD, jnp.zeros((), jnp.int32))

    def step(self, x_BD: jax.Array, history: History) -> tuple[jax.Array, History]:
        """y_BD of one more token, in O(S); NaN if the history is full."""
        past_BSD, time = history
        S, work = past_BSD.shape[1], wide(x_BD.dtype)
        past_BSD = jax.lax.dynamic_update_slice_in_dim(
            past_BSD, x_BD[:, None].astype(past_BSD.dtype), time, axis=1
        )
        # kernel_{time - s} for every s; the future is zero in the history.
        back_S = jnp.clip(time - jnp.arange(S, dtype=jnp.int32), 0, S - 1)
        kernel_SD = self.kernel(S, x_BD.dtype)[back_S]
        y_BD = (past_BSD.astype(work) * kernel_SD[None]).sum(1)
        # The output would lack a token, and a compiled step cannot raise.
        y_BD = jnp.where(time < S, y_BD, jnp.nan)
        return y_BD.astype(x_BD.dtype), History(past_BSD, time + 1)

    def kernel(self, length: int, dtype: Any) -> jax.Array:
        """kernel_TD for distances 0 to length - 1, in float32 at least."""
        work = wide(dtype)
        time_T1 = jnp.arange(length, dtype=jnp.int32)[:, None]
        multiple_1N = jnp.arange(1, self.filter.bands + 1, dtype=jnp.int32)[None]
        # Whole turns are removed as integers: as floats they would cost digits.
        angle_TN = (time_T1 * multiple_1N % self.length).astype(work)
        angle_TN = angle_TN * (2 * math.pi / self.length)
        share_T1 = time_T1.astype(work) / self.length
        parts = share_T1, jnp.cos(angle_TN), jnp.sin(angle_TN)
        z_TF = jnp.concatenate(parts, axis=1)
        frequency_1F = self.frequency.get_value().astype(work)[None]
        *hidden, last = self.layers
        for layer in hidden:
            z_TF = jnp.sin(frequency_1F * layer(z_TF))
        rate_1D = jnp.abs(self.rate.get_value().astype(work))[None]
        # The energy does not depend on the length.
        return last(z_TF) * jnp.exp(-rate_1D * share_T1) * self.length**-0.5

    def products(self, length: int) -> int:
        """Multiply-adds for one token: its kernel, and log2 T levels of transforms."""
        network = sum(layer.kernel.get_value().size for layer in self.layers)
        levels = max(1, length - 1).bit_length()
        return network + 2 * self.channels * levels * levels
