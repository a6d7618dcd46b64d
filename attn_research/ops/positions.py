"""Positions: where a token stands in its segment, and how a mixer is told.

Every function works on one position as on many, so that a decoding step uses what the
whole sequence uses.
"""

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.ops import precision


def restart(segments_BT: jax.Array) -> jax.Array:
    """The position of each token within its own segment, from 0, as int32.

    Segments are contiguous: a position counts from the last change of segment.
    """
    time_1T = jnp.arange(segments_BT.shape[-1], dtype=jnp.int32)[None]
    before_BT = jnp.pad(segments_BT[:, :-1], ((0, 0), (1, 0)), constant_values=-1)
    start_BT = jnp.where(segments_BT != before_BT, time_1T, 0)
    return time_1T - jax.lax.cummax(start_BT, axis=1)


def positions(batch: int, length: int, segments_BT: jax.Array | None) -> jax.Array:
    """positions_BT, restarting in every segment; without segments 0, 1, 2, ..."""
    if segments_BT is None:
        time_1T = jnp.arange(length, dtype=jnp.int32)[None]
        return jnp.broadcast_to(time_1T, (batch, length))
    return restart(segments_BT)


def angles(position: jax.Array, size: int, base: float, dtype) -> jax.Array:
    """position * base^(-i / size) for i in 0..size-1, on a new last axis.

    In float32 the rounding of an angle grows with the position: 6e-8 of it.
    """
    rates = np.power(base, -np.arange(size) / size)  # float64, rounded once
    rates = jnp.asarray(rates.reshape((1,) * position.ndim + (size,)), dtype)
    return position[..., None].astype(dtype) * rates


def rope(x_BTHK: jax.Array, positions_BT: jax.Array, base: float) -> jax.Array:
    """x with the pairs (i, i + K/2) rotated by position * base^(-2i/K).

    The product of a rotated query and key depends on the difference of their
    positions only. Raises ValueError for an odd K. Su et al., 2021, arXiv:2104.09864.
    """
    size = x_BTHK.shape[-1]
    if size % 2:
        raise ValueError(
            f"RoPE rotates pairs; the head size is {size}, even is allowed"
        )
    dtype = precision.wide(x_BTHK.dtype)
    angle_BT1R = angles(positions_BT, size // 2, base, dtype)[:, :, None]
    cos, sin = jnp.cos(angle_BT1R), jnp.sin(angle_BT1R)
    left, right = jnp.split(x_BTHK.astype(dtype), 2, axis=-1)
    turned = jnp.concatenate([left * cos - right * sin, left * sin + right * cos], -1)
    return turned.astype(x_BTHK.dtype)


def sinusoid(
    positions_BT: jax.Array, width: int, base: float = 10_000.0, dtype=jnp.float32
) -> jax.Array:
    """Sines, then cosines of the angles, as BTD; an odd width drops the last cosine.

    Vaswani et al., 2017, arXiv:1706.03762.
    """
    wide = precision.wide(dtype)
    angle = angles(positions_BT, (width + 1) // 2, base, wide)
    both = jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], axis=-1)
    return both[..., :width].astype(dtype)


def lookup(table_ND: jax.Array, positions_BT: jax.Array) -> jax.Array:
    """The row of a learned table for each position, as BTD.

    Positions must lie within the table; the caller, who knows its length, checks.
    """
    return jnp.take(table_ND, positions_BT, axis=0, mode="clip")
