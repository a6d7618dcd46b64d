"""Many examples of a task at once, as numpy arrays, from one compiled call."""

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attn_research import tasks
from attn_research.tasks import SPLITS, Batch


@lru_cache
def drawer(spec, rows):
    """The task and a function from seed and split to a batch."""
    task = tasks.make(spec)
    arrays = jax.tree.map(jnp.asarray, task.arrays())
    draw = jax.jit(
        lambda seed, split: task.batch(jax.random.key(seed), split, rows, arrays)
    )
    return task, lambda seed, split: draw(seed, SPLITS.index(split))


def drawn(spec: str, rows=1024, split="train", seed=3) -> tuple[Any, Batch]:
    """The task and a batch of it."""
    task, draw = drawer(spec, rows)
    return task, jax.tree.map(np.asarray, draw(seed, split))


def listed(array):
    """Rows as lists of plain numbers, which naive readers go through fastest."""
    return np.asarray(array).tolist()


def assert_even(answers, classes, within=4.0):
    """All classes about equally often: within so many standard errors."""
    counts = np.bincount(np.ravel(answers), minlength=classes)
    assert counts.size == classes, "an answer is outside of the classes"
    assert_share(counts, counts.sum(), 1 / classes, within)


def assert_share(counts, total, share, within=4.0):
    """Counts of independent events of one probability, within standard errors."""
    error = np.sqrt(total * share * (1 - share))
    worst = np.abs(np.asarray(counts) - total * share).max() / error
    assert worst < within, f"{counts} of {total} is {worst:.1f} errors from {share}"
