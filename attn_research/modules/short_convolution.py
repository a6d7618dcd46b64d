"""The short causal convolution before queries, keys and values, with its step."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.modules.directions import without_padding
from attn_research.ops.convolution import depthwise_convolution
from attn_research.ops.precision import wide


class ShortConvolution(nnx.Module):
    """silu(kernel * x (+ bias)) on each channel; zero at padding; 0 taps: x itself.

    In float32 at least, because mixers divide by the norm of the result. If not
    `active`, without the SiLU. So et al., 2021, arXiv:2109.08668; in state-space mixers
    Fu et al., 2022, arXiv:2212.14052.
    """

    def __init__(
        self,
        channels: int,
        taps: int,
        *,
        bias: bool = False,
        active: bool = True,
        rngs: nnx.Rngs,
    ):
        self.channels, self.taps, self.active = channels, taps, active
        kernel_WD = jax.random.normal(rngs.params(), (taps, channels), jnp.float32)
        self.kernel = nnx.Param(kernel_WD * taps**-0.5) if taps else None
        zeros_D = jnp.zeros(channels, jnp.float32)
        self.bias = nnx.Param(zeros_D) if bias and taps else None

    def __call__(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None = None
    ) -> jax.Array:
        if self.kernel is None:
            return x_BTD
        x_BTD = x_BTD.astype(wide(x_BTD.dtype))
        kernel_WD = self.kernel.get_value().astype(x_BTD.dtype)
        y_BTD = depthwise_convolution(x_BTD, kernel_WD, segments_BT=segments_BT)
        return without_padding(self._shaped(y_BTD), segments_BT)

    def start(self, batch: int, dtype: Any) -> jax.Array:
        """The last W - 1 values of x, oldest first."""
        return jnp.zeros((batch, max(self.taps - 1, 0), self.channels), dtype)

    def step(self, x_BD: jax.Array, carry: jax.Array) -> tuple[jax.Array, jax.Array]:
        """(y_BD, next carry) of one token."""
        if self.kernel is None:
            return x_BD, carry
        recent_BWD = jnp.concatenate([carry, x_BD[:, None].astype(carry.dtype)], axis=1)
        # Tap 0 belongs to the newest value.
        work = wide(x_BD.dtype)
        kernel_WD = jnp.flip(self.kernel.get_value(), axis=0).astype(work)
        y_BD = (recent_BWD.astype(work) * kernel_WD[None]).sum(axis=1)
        return self._shaped(y_BD), recent_BWD[:, 1:]

    def products(self) -> int:
        """Multiply-adds for one token."""
        return self.taps * self.channels

    def _shaped(self, y: jax.Array) -> jax.Array:
        if self.bias is not None:
            bias = self.bias.get_value().astype(y.dtype)
            y = y + jnp.expand_dims(bias, tuple(range(y.ndim - 1)))
        return jax.nn.silu(y) if self.active else y
