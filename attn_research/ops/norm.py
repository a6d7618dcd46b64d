"""Layer and RMS normalisation over the last axis, in float32 at least."""

import jax
import jax.numpy as jnp

from attn_research.ops.precision import wide

EPSILON = 1e-6


def layer_norm(x: jax.Array, scale_D: jax.Array, bias_D: jax.Array) -> jax.Array:
    """(x - mean) / sqrt(variance + 1e-6) * scale + bias, in the dtype of x.

    Ba et al., 2016, arXiv:1607.06450.
    """
    wide_x = x.astype(wide(x.dtype))
    wide_x = wide_x - wide_x.mean(axis=-1, keepdims=True)
    return (_unit(wide_x) * _rows(scale_D, wide_x) + _rows(bias_D, wide_x)).astype(
        x.dtype
    )


def rms_norm(x: jax.Array, scale_D: jax.Array) -> jax.Array:
    """x / sqrt(mean(x^2) + 1e-6) * scale, in the dtype of x.

    Zhang and Sennrich, 2019, arXiv:1910.07467.
    """
    wide_x = x.astype(wide(x.dtype))
    return (_unit(wide_x) * _rows(scale_D, wide_x)).astype(x.dtype)


def _unit(x: jax.Array) -> jax.Array:
    square = jnp.square(x).mean(axis=-1, keepdims=True)
    return x * jax.lax.rsqrt(square + jnp.asarray(EPSILON, x.dtype))


def _rows(row_D: jax.Array, x: jax.Array) -> jax.Array:
    return jnp.expand_dims(row_D.astype(x.dtype), tuple(range(x.ndim - 1)))
