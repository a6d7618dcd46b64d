"""Strings of symbols: what a path of them spells, and how far two are apart."""

import jax
import jax.numpy as jnp

BLANK = 0  # the empty symbol of a string


def collapsed(symbol_BT: jax.Array, real_BT: jax.Array) -> jax.Array:
    """The string of a path of symbols: repeats merged, then blanks removed.

    `BLANK` fills the rest of the row. Graves et al., 2006, the best path of a
    connectionist temporal classifier.
    """
    before_BT = jnp.pad(symbol_BT, ((0, 0), (1, 0)), constant_values=BLANK)[:, :-1]
    kept_BT = (symbol_BT != BLANK) & (symbol_BT != before_BT) & real_BT
    place_BT = jnp.where(kept_BT, jnp.cumsum(kept_BT, axis=1) - 1, symbol_BT.shape[1])
    rows_B1 = jnp.arange(symbol_BT.shape[0])[:, None]
    return (
        jnp.full_like(symbol_BT, BLANK)
        .at[rows_B1, place_BT]
        .set(symbol_BT, mode="drop")
    )


def edits(found_BT: jax.Array, wanted_BL: jax.Array) -> jax.Array:
    """The minimum number of insertions, deletions and substitutions between strings.

    Both end at their first `BLANK`. Levenshtein, 1966; T steps over rows of L + 1.
    """
    length = wanted_BL.shape[1]
    column_1L = jnp.arange(length + 1)[None]

    def symbol(row_BL, found_B):
        differs_BL = (wanted_BL != found_B[:, None]).astype(jnp.int32)
        cheapest_BL = jnp.minimum(row_BL[:, 1:] + 1, row_BL[:, :-1] + differs_BL)
        first_B1 = row_BL[:, :1] + 1
        # An insertion costs one more than the previous entry: a running minimum of
        # the costs minus their column.
        free_BL = jnp.concatenate([first_B1, cheapest_BL], axis=1) - column_1L
        next_BL = jax.lax.cummin(free_BL, axis=1) + column_1L
        return jnp.where((found_B == BLANK)[:, None], row_BL, next_BL), None

    start_BL = jnp.broadcast_to(column_1L, (found_BT.shape[0], length + 1))
    row_BL, _ = jax.lax.scan(symbol, start_BL, found_BT.T)
    count_B1 = jnp.sum(wanted_BL != BLANK, axis=1, keepdims=True)
    return jnp.take_along_axis(row_BL, count_B1, axis=1)[:, 0]
