"""Several short examples in one row, each in its own segment."""

import jax
import jax.numpy as jnp

from attn_research.tasks.parts.sets import END, Stretches


def fitting(sizes: list[jax.Array], lengths: list[int]) -> jax.Array:
    """fits_BM: which of a row's M candidate examples it holds, from the first on.

    Those that fit whole into every sequence; `sizes` has size_BM for each sequence. The
    first is always held, and cut if it is longer than the row.
    """
    fits_BM = jnp.ones(sizes[0].shape, bool)
    for size_BM, length in zip(sizes, lengths, strict=True):
        fits_BM &= jnp.cumsum(size_BM, axis=1) <= length
    return fits_BM.at[:, 0].set(True)


def sized(column: Stretches, row_BM: jax.Array) -> jax.Array:
    """size_BM of the examples in these rows."""
    return jnp.asarray(column.offsets_N)[row_BM + 1] - column.offsets_N[row_BM]


def packed(
    column: Stretches, row_BM: jax.Array, fits_BM: jax.Array, length: int, ends: int
) -> tuple[jax.Array, jax.Array]:
    """The examples that fit, concatenated, BT, and their segments from 1 on.

    Each is followed by `ends` times `END`, in its own segment.
    """
    size_BM = jnp.where(fits_BM, sized(column, row_BM) + ends, 0)
    end_BM = jnp.cumsum(size_BM, axis=1)
    place_1T = jnp.arange(length)[None]
    # The number of examples that end before a position is the one it belongs to.
    which_BT = jnp.sum(place_1T[..., None] >= end_BM[:, None], axis=2)
    real_BT = which_BT < row_BM.shape[1]
    which_BT = jnp.minimum(which_BT, row_BM.shape[1] - 1)

    def of(array_BM: jax.Array) -> jax.Array:
        return jnp.take_along_axis(array_BM, which_BT, axis=1)

    own_BT = place_1T - of(end_BM - size_BM)
    inside_BT = real_BT & (own_BT < of(size_BM) - ends)
    first_BM = jnp.asarray(column.offsets_N)[row_BM]
    at_BT = jnp.where(inside_BT, of(first_BM) + own_BT, 0)
    value_BT = jnp.asarray(column.values_L)[at_BT]
    value_BT = jnp.where(inside_BT, value_BT, jnp.asarray(END, value_BT.dtype))
    return value_BT, jnp.where(real_BT, 1 + which_BT, 0)
