"""Stretches of a text that is too large for a device, as its batches need them.

A batch of a text is drawn twice: where its rows begin, by the key, and what the rows
are. On the device both happen in `Text.batch`. If the text stays in its files, the host
draws the same starts from the same keys, reads the rows and sends them with their keys;
`batch` finds the rows of its key among them. So a batch is a function of its key in
both ways, with the same bits, and nothing else needs to know which it was.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.options import INT_MAX
from attn_research.tasks.contract import (
    SPLITS,
    Draws,
    Split,
    Task,
    split_index,
    stored,
)
from attn_research.tasks.data.corpus import Bytes


class Windows(NamedTuple):
    """N batches of rows, each with the key and the split that it was drawn by.

    `key_N2` is uint32, `split_N` int32, `row_NBT` uint8: one token more than the
    sequence has, as the last one is only predicted.
    """

    key_N2: Any
    split_N: Any
    row_NBT: Any


def starts(
    key: jax.Array, split: Split | jax.Array, size: int, count: int | jax.Array
) -> jax.Array:
    """start_B1: `size` random whole numbers below `count`, at most 2^31 - 1."""
    return Draws(key, split, size, 1).integers(1, count)


def wide_starts(key_N2: np.ndarray, split: Split, size: int, count: int) -> np.ndarray:
    """start_NB (int64): those of `starts` of each key, and of any `count`.

    Beyond 2^31 - 1 a start has 64 random bits instead of 32.
    """
    columns = 1 if count <= INT_MAX else 2
    bits_NBC = np.asarray(
        _bits(jnp.asarray(key_N2), SPLITS.index(split), size, columns)
    )
    number_NB = np.zeros(bits_NBC.shape[:2], np.uint64)
    for column in range(columns):
        number_NB = number_NB << np.uint64(32) | bits_NBC[:, :, column]
    return (number_NB % np.uint64(count)).astype(np.int64)


def _drawn(key_2: jax.Array, split: jax.Array, size: int, columns: int) -> jax.Array:
    return Draws(jax.random.wrap_key_data(key_2), split, size, columns).bits(columns)


_bits = jax.jit(jax.vmap(_drawn, in_axes=(0, None, None, None)), static_argnums=(2, 3))


def places(
    text: Any, key_N2: np.ndarray, split: Split, size: int, length: int
) -> np.ndarray:
    """start_NB (int64): where batches of these keys read `length` tokens of a text.

    `text` has the `offsets_N` of its splits.
    """
    place = SPLITS.index(split)
    low, high = (int(text.offsets_N[place + n]) for n in range(2))
    return low + wide_starts(key_N2, split, size, high - low - length + 1)


def read(
    text: Any, key_N2: np.ndarray, split: Split, start_NB: np.ndarray, length: int
) -> Windows:
    """The rows of `length` tokens from each place on, of batches of these keys.

    `text` has `values_L`, whose `rows` reads them; they are arrays of the host.
    """
    row_NBT = text.values_L.rows(start_NB.reshape(-1), length)
    split_N = np.full(len(key_N2), SPLITS.index(split), np.int32)
    return Windows(key_N2, split_N, row_NBT.reshape(*start_NB.shape, length))


def content(task: Task) -> Any:
    """The arrays of a task; those of a text stay in its files."""
    return task.stored() if stored(task) else task.arrays()


def of_batch(task: Task, content: Any, key: jax.Array, split: Split, size: int) -> Any:
    """What `task.batch` of a key needs of its `content`: all, or the rows of a text."""
    if not stored(task):
        return content
    key_12 = np.asarray(jax.random.key_data(key))[None]
    text, length = content["text"], task.spec.length + 1
    start_1B = places(text, key_12, split, size, length)
    return {**content, "text": read(text, key_12, split, start_1B, length)}


def held(content: Any) -> Any:
    """What a task has `stored`, as the arrays that it would have: read into memory."""
    return jax.tree.map(
        lambda leaf: leaf[:] if isinstance(leaf, Bytes) else leaf, content
    )


def found(
    windows: Windows, key: jax.Array, split: Split | jax.Array, size: int
) -> tuple[jax.Array, jax.Array]:
    """row_BT of a key and split, and 1, or NaN if the host has not sent them.

    Raises ValueError if the rows of a batch are not `size`.
    """
    if windows.row_NBT.shape[1] != size:
        raise ValueError(
            f"A batch of {size} rows is asked of windows of {windows.row_NBT.shape[1]}"
            "; it must be as large"
        )
    if jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        key = jax.random.key_data(key)
    same_N = jnp.all(jnp.asarray(windows.key_N2) == key[None], axis=1)
    same_N &= jnp.asarray(windows.split_N) == split_index(split)
    row_BT = jnp.asarray(windows.row_NBT)[jnp.argmax(same_N)]
    return row_BT, jnp.where(jnp.any(same_N), 1.0, jnp.nan).astype(jnp.float32)
