"""All examples of a task of a data set, to be held against the set itself."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

from attn_research import tasks
from attn_research.tasks import SPLITS
from attn_research.tasks.data import packed


@cache
def read(spec):
    """The task, the sizes of its splits, and all of its examples from one program."""
    task = tasks.make(spec)
    arrays = task.arrays()
    counts = [int(task.count(split, arrays)) for split in SPLITS]

    @jax.jit
    def examples(arrays):
        def of(split):
            # Of a shorter split, the last one over and over.
            index = jnp.minimum(jnp.arange(max(counts)), jnp.array(counts)[split] - 1)
            return task.examples(index, split, arrays)

        return jax.lax.map(of, jnp.arange(len(SPLITS)))

    return task, counts, jax.tree.map(np.asarray, examples(arrays))


def whole(spec, split):
    """The task, its columns of a split, and all of its examples in one batch."""
    task, counts, batches = read(spec)
    place = SPLITS.index(split)
    batch = jax.tree.map(lambda leaf: leaf[place, : counts[place]], batches)
    return task, packed.load(task.data)[split], batch


def drawn(task, key, split, rows):
    """A batch as numpy, from one program."""
    draw = jax.jit(lambda arrays: task.batch(key, split, rows, arrays))
    return jax.tree.map(np.asarray, draw(task.arrays()))


def padded(text, length):
    text = np.asarray(text)[:length]
    return np.pad(text, (0, length - len(text)))
