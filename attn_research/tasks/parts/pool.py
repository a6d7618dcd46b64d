"""Finite pools: examples made once on the host, sampled on the device.

A pool holds the concatenated examples of the splits and their edges. A batch samples
rows of its split with replacement.
"""

import jax
import numpy as np

from attn_research.options import INT_MAX, BadInput
from attn_research.tasks.contract import Draws, Split, split_index


def check(name: str, examples: int, held_out: int, size: int) -> None:
    """Raises `BadInput` if a pool of examples of `size` values is beyond int32."""
    most = INT_MAX // size
    if examples + 2 * held_out > most:
        raise BadInput(
            f"{name}.examples is {examples} and held_out {held_out}; of {size} values "
            f"each, all examples together must be at most {most}"
        )


def edges(examples: int, held_out: int) -> np.ndarray:
    """Where splits begin and end; validation and test have `held_out` examples each."""
    return np.cumsum([0, examples, held_out, held_out]).astype(np.int32)


def rows(draws: Draws, split: Split | jax.Array, edges_4: jax.Array) -> jax.Array:
    """row_B: a random example of a split for each row; takes one column."""
    at = split_index(split)
    low, high = edges_4[at], edges_4[at + 1]
    return low + draws.integers(1, high - low)[:, 0]
