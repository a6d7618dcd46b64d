"""What the mixers of RWKV share: the token before, and numbers for each channel."""

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.modules.head_norm import DAMPING
from attn_research.ops.norm import layer_norm
from attn_research.ops.recurrence import begins


def before(x_BTD: jax.Array, segments_BT: jax.Array | None) -> jax.Array:
    """last_BTD: the token before each, and zeros before the first of a segment."""
    last_BTD = jnp.pad(x_BTD[:, :-1], ((0, 0), (1, 0), (0, 0)))
    if segments_BT is None:
        return last_BTD
    return jnp.where(begins(segments_BT)[..., None], 0, last_BTD)


def row(param: nnx.Param, like: jax.Array) -> jax.Array:
    """The numbers of a parameter as (..., D), with the rank and dtype of an array."""
    row_D = param.get_value().astype(like.dtype).reshape(-1)
    return jnp.expand_dims(row_D, tuple(range(like.ndim - 1)))


def in_heads(x: jax.Array, heads: int) -> jax.Array:
    """(..., D) as (..., H, K)."""
    return x.reshape(*x.shape[:-1], heads, x.shape[-1] // heads)


def normed(y: jax.Array, scale: nnx.Param, bias: nnx.Param) -> jax.Array:
    """(..., H, E) as (..., H E): heads layer-normalised, scaled, with a bias."""
    ones_E = jnp.ones(y.shape[-1], y.dtype)
    y = layer_norm(y * DAMPING, ones_E, jnp.zeros_like(ones_E))
    y = y.reshape(*y.shape[:-2], -1)
    return y * row(scale, y) + row(bias, y)
