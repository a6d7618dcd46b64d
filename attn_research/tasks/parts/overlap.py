"""Rows that two splits share: kept apart where the space of rows is small, or counted.

Each split of a generated task has its own random stream, and shares no row with another
if the space of rows is large. If it is small and rows are of one length, a row belongs
to the split that its hash says, and rows that are drawn for another split are drawn
again (`separated`). What is still shared, such as the short rows of a task of many
lengths, is counted before a run (`notes`).
"""

import math
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.tasks.contract import (
    SPLITS,
    Batch,
    Split,
    Task,
    check_key,
    check_size,
    split_index,
)

# Spaces of this many bits are separated: smaller ones would leave a split too few rows,
# larger ones are shared by chance in few rows.
FEWEST, MOST = 6, 20
# Of four equal parts of the hashes, two are for training.
OWNERS = (0, 0, 1, 2)
TRIES = 16  # a row of a half of the space is missed once in 65,536, of a quarter in 1 %
SAMPLE = 2**18  # tokens that are compared, at most
ROWS = 2**12  # rows of each split that are compared, at most
LONGEST = 2**16  # tokens of a row that is compared
ENOUGH = 40  # bits of the answers of a row

Rows = Callable[[jax.Array, Split | jax.Array, int], Batch]


def separated(
    rows: Rows,
    key: jax.Array,
    split: Split | jax.Array,
    size: int,
    bits: float,
) -> Batch:
    """A batch of `rows(key, split, size)` that shares no row with another split.

    `bits` is the logarithm, to base 2, of the number of different rows; outside of
    `FEWEST` to `MOST` the batch is the plain one. Inputs in a split keep their odds. A
    row that found none of its split in `TRIES` draws repeats another of the batch;
    without any, no row has a weight.
    """
    check_size(size)
    check_key(key)
    if not FEWEST <= bits <= MOST:
        return rows(key, split, size)
    owners = jnp.array(OWNERS)

    def along(array: jax.Array, mask_B: jax.Array) -> jax.Array:
        return mask_B.reshape((size,) + (1,) * (array.ndim - 1))

    def drawn(one: jax.Array) -> tuple[Batch, jax.Array]:
        batch = rows(one, split, size)
        return batch, owners[hashed(batch.inputs) % len(OWNERS)] == split_index(split)

    def again(number: int | jax.Array, kept: Any) -> tuple[Batch, jax.Array]:
        batch, own_B = drawn(jax.random.fold_in(key, number))
        old, found_B = kept
        take_B = own_B & ~found_B
        chosen = jax.tree.map(
            lambda new, had: jnp.where(along(new, take_B), new, had), batch, old
        )
        return chosen, found_B | own_B

    first = drawn(jax.random.fold_in(key, 0))
    batch, found_B = jax.lax.fori_loop(1, TRIES, again, first)
    place_B, count = jnp.arange(size), jnp.sum(found_B)
    others_B = jnp.argsort(~found_B, stable=True)[place_B % jnp.maximum(count, 1)]
    from_B = jnp.where(found_B, place_B, others_B)
    batch = jax.tree.map(lambda leaf: leaf[from_B], batch)
    return batch._replace(weights=jnp.where(count > 0, batch.weights, 0))


def hashed(tokens_BT: jax.Array) -> jax.Array:
    """32 bits of each row of tokens, over the last axis; zeros behind it count not."""
    place_BT = jax.lax.broadcasted_iota(jnp.uint32, tokens_BT.shape, tokens_BT.ndim - 1)
    place_BT = place_BT * jnp.uint32(0x9E3779B9)
    token_BT = tokens_BT.astype(jnp.uint32) * jnp.uint32(0x85EBCA6B)
    code_BT = _mixed(_mixed(token_BT) + place_BT)
    code_B = jnp.sum(
        jnp.where(tokens_BT == 0, jnp.uint32(0), code_BT), axis=-1, dtype=jnp.uint32
    )
    return _mixed(code_B)


def _mixed(x: jax.Array) -> jax.Array:
    """A hash of 32 bits: the finalizer of MurmurHash3."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
    return x ^ (x >> 16)


def notes(task: Task, arrays: Any) -> list[str]:
    """One sentence for each held-out split that shares rows with training.

    By rows that are drawn: an estimate; a longer run sees more rows and shares more.
    """
    count = min(ROWS, SAMPLE // task.spec.length)
    if _many(task) or count < 2:
        return []
    if (task, count) not in _SHARES:
        _SHARES[task, count] = _shares(task, arrays, count)
    return [
        f"{share:.1%} of {count:,} {split} rows are among {count:,} rows of train: the "
        "task has few different rows, and what is measured on them may be remembered."
        for split, share in zip(SPLITS[1:], _SHARES[task, count], strict=True)
        if share > 0
    ]


def _many(task: Task) -> bool:
    """Whether rows are surely too many to be shared.

    Real numbers are, and rows of one length with many answers, which are independent.
    """
    spec = task.spec
    if spec.inputs == "values" or spec.length > LONGEST:
        return True
    if "test_length" in (field.name for field in fields(task)):  # type: ignore
        return False
    answer = math.log2(1 / spec.chance) if spec.chance else 0.0
    return spec.labels * answer > ENOUGH


# The shares of a task that was asked for before: a sweep has many runs of it.
_SHARES: dict[tuple[Task, int], tuple[float, ...]] = {}


def _shares(task: Task, arrays: Any, count: int) -> tuple[float, ...]:
    """The share of rows of validation and of test that are rows of train."""
    draw = jax.jit(lambda key, split, arrays: _drawn(task, key, split, count, arrays))
    arrays = jax.tree.map(jnp.asarray, arrays)
    seen = [
        _rows(draw(jax.random.key(place), np.int32(place), arrays))
        for place in range(len(SPLITS))
    ]
    train = set(seen[0])
    return tuple(
        sum(row in train for row in rows) / max(1, len(rows)) for rows in seen[1:]
    )


def _drawn(task: Task, key, split, count: int, arrays: Any) -> tuple[Any, Any]:
    """The inputs of rows, 0 at padding, and which of them count."""
    batch = task.batch(key, split, count, arrays)
    real_BT = batch.segments > 0
    wide = real_BT.reshape(real_BT.shape + (1,) * (batch.inputs.ndim - 2))
    axes = tuple(range(1, batch.weights.ndim))
    return jnp.where(wide, batch.inputs, 0), jnp.max(batch.weights, axis=axes) > 0


def _rows(drawn: tuple[Any, Any]) -> list[bytes]:
    inputs, counts_B = map(np.asarray, drawn)
    return [row.tobytes() for row in inputs[counts_B]]
