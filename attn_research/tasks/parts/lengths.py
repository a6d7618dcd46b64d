"""Train short, test long: the lengths of rows in each split.

A task with the options `length` and `test_length` trains and validates at every length
up to `length`, and is tested at every length up to `test_length`. Its spec has the
length of the test, so that a model has positions for it; a batch of the split named
"train" is shorter, so that training pays for no padding. Every other batch, and one
whose split is an index, has the length of the spec: the padding at the end of a row
(token 0) is segment 0.

The length curve is what a run reports as accuracy by position and by gap: lengths
beyond `length` were never trained. If every earlier token matters, `gap` is the
distance to the first one, and the accuracy by gap is the accuracy by length.
"""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.options import BadInput
from attn_research.tasks.contract import SPLITS, Batch, Draws, Split, split_index

Answers = Literal["every", "last"]
TEST = SPLITS.index("test")


def check(name: str, length: int, test_length: int) -> None:
    """Raises `BadInput` if test sequences are shorter than training ones."""
    if test_length < length:
        raise BadInput(
            f"{name}.test_length is {test_length}; it must be at least the length, "
            f"{length}"
        )


def room(split: Split | jax.Array, trained: int, tested: int) -> int:
    """The positions of a row of this split: `trained` in training, else `tested`."""
    return trained if isinstance(split, str) and split == "train" else tested


def sampled(
    draws: Draws, split: Split | jax.Array, trained: int, tested: int, low: int = 1
) -> jax.Array:
    """size_B1: random, from `low` to `tested` in the test split, else to `trained`."""
    high = jnp.where(split_index(split) == TEST, tested, trained)
    return low + draws.integers(1, high + 1 - low)


def asked(answers: Answers, size_B1: jax.Array, length: int) -> jax.Array:
    """asked_BT: whether a position answers, every one or the last of each row."""
    at_1T = jnp.arange(length)[None]
    return at_1T == size_B1 - 1 if answers == "last" else at_1T < size_B1


def shares(length: int, answers: Answers) -> np.ndarray:
    """share_T: answers at position t, over one row of each length up to T."""
    return np.ones(length) if answers == "last" else np.arange(length, 0.0, -1)


def rows(
    inputs_BT: jax.Array,
    targets_BT: jax.Array,
    asked_BT: jax.Array,
    gap_BT: jax.Array,
    size_B1: jax.Array,
) -> Batch:
    """The batch whose rows have `size` tokens and then padding."""
    real_BT = jnp.arange(inputs_BT.shape[1])[None] < size_B1
    asked_BT = asked_BT & real_BT
    return Batch(
        inputs=jnp.where(real_BT, inputs_BT, 0),
        targets=jnp.where(asked_BT, targets_BT, 0),
        weights=asked_BT.astype(jnp.float32),
        segments=real_BT.astype(jnp.int32),
        gap=jnp.where(asked_BT, gap_BT, -1),
    )
