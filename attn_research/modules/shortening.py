"""Strided convolutions below the first layer: fewer, richer positions."""

import math

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.modules.contract import Projection


class Shortening(nnx.Module):
    """x_BTF to x_BSD by causal convolutions, one for each stride, with GELU.

    A convolution of stride s reads 2 s positions, of which the last s are new: S is T
    over the product of the strides, rounded up. A position has the segment of its first
    input and reads no other. The stem of encoders of raw waves (Baevski et al., 2020,
    arXiv:2006.11477); with one stride, patches that overlap.
    """

    def __init__(
        self, features: int, width: int, strides: tuple[int, ...], *, rngs: nnx.Rngs
    ):
        self.strides = strides
        sizes = [features, *[width] * (len(strides) - 1)]
        # GELU roughly halves the second moment: variance 2 restores it.
        self.kernels = nnx.List(
            Projection(2 * s * size, width, rngs=rngs, bias=True, scale=2.0)
            for s, size in zip(strides, sizes, strict=True)
        )

    def __call__(self, x_BTF: jax.Array, segments_BT: jax.Array | None) -> jax.Array:
        for stride, kernel in zip(self.strides, self.kernels, strict=True):
            x_BTF = jax.nn.gelu(kernel(_frames(x_BTF, segments_BT, stride)))
            segments_BT = every(segments_BT, stride)
        return x_BTF

    def flops(self, length: int) -> int:
        """FLOPs of all convolutions over `length` positions."""
        total = 0
        for stride, kernel in zip(self.strides, self.kernels, strict=True):
            length = -(-length // stride)
            total += 2 * length * kernel.kernel.get_value().size
        return total


def every(segments_BT: jax.Array | None, stride: int) -> jax.Array | None:
    """The segments of shortened positions."""
    return None if segments_BT is None else segments_BT[:, ::stride]


def shortened(length: int, strides: tuple[int, ...] | None) -> int:
    """The number of positions after the strides."""
    return -(-length // math.prod(strides or (1,)))


def _frames(x_BTF, segments_BT, stride):
    """The positions of each stride and of the previous one, concatenated."""
    batch, time, size = x_BTF.shape
    fill = -time % stride
    x_BTF = jnp.pad(x_BTF, ((0, 0), (0, fill), (0, 0)))
    own = x_BTF.reshape(batch, -1, stride, size)
    before = jnp.pad(own, ((0, 0), (1, 0), (0, 0), (0, 0)))[:, :-1]
    if segments_BT is not None:
        of = jnp.pad(segments_BT, ((0, 0), (0, fill))).reshape(batch, -1, stride)
        first = of[:, :, :1]
        of_before = jnp.pad(of, ((0, 0), (1, 0), (0, 0)))[:, :-1]
        own = jnp.where(((of == first) & (first > 0))[..., None], own, 0)
        before = jnp.where(((of_before == first) & (first > 0))[..., None], before, 0)
    frames = jnp.concatenate([before, own], axis=2)
    return frames.reshape(batch, frames.shape[1], -1)
