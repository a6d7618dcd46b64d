"""Finite pools: examples made once on the host, drawn from on the device.

A pool holds the examples of the splits one after another and their edges. A batch draws
rows of its split with replacement.
"""

import jax
import numpy as np

from attn_research.tasks.contract import Draws, Split, split_index


def edges(examples: int, held_out: int) -> np.ndarray:
    """Where the splits begin and end: `held_out` to choose and as many to test."""
    return np.cumsum([0, examples, held_out, held_out]).astype(np.int32)


def rows(draws: Draws, split: Split | jax.Array, edges_4: jax.Array) -> jax.Array:
    """The place of an example of a split for each row, B; takes one column."""
    at = split_index(split)
    low, high = edges_4[at], edges_4[at + 1]
    return low + draws.integers(1, high - low)[:, 0]
