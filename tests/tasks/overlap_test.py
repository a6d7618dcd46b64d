"""Splits of generated tasks share no row, or a note says how many."""

import dataclasses

import jax
import numpy as np
import pytest

from attn_research import tasks
from attn_research.tasks import SPLITS

# Few rows, kept apart by their hash.
APART = (
    "copying(lag=3,count=4,symbols=4)",
    "copying(lag=1,count=6,symbols=2)",
    "copying(lag=7,count=4,symbols=8)",
    "copying(lag=3,count=2,symbols=100)",
    "selective_copying(length=9,count=2,symbols=3)",
    "selective_copying(length=16,count=3,symbols=4)",
)
# Short rows of these are shared whatever is done.
MIXED = ("parity", "dyck", "flip_flop", "group_word(length=3,test_length=9,group=Z6)")


def rows(task, split, size=512, seed=0):
    """The batch of a split, and its inputs without the rows that do not count."""

    @jax.jit
    def draw(key):
        return task.batch(key, np.int32(SPLITS.index(split)), size)

    batch = jax.device_get(draw(jax.random.key(seed)))
    counts_B = batch.weights.max(axis=1) > 0
    inputs_BT = np.where(batch.segments > 0, batch.inputs, 0)
    return batch, counts_B, {row.tobytes() for row in inputs_BT[counts_B]}


@pytest.mark.parametrize("spec", APART)
def test_a_small_space_is_divided_among_the_splits(spec):
    task = tasks.make(spec)
    seen = []
    for split in SPLITS:
        _, counts_B, own = rows(task, split)
        assert counts_B.all()
        seen.append(own)
    train, validation, test = seen
    assert len(validation) > 5 and len(test) > 5
    assert not train & validation and not train & test and not validation & test


def test_what_is_kept_apart_keeps_its_odds():
    """Every row of a split is as likely as any other, every symbol is."""
    task = tasks.make("copying(lag=2,count=4,symbols=5)")
    found: dict[bytes, int] = {}
    ones, seeds = [], 8
    for seed in range(seeds):
        batch, _, _ = rows(task, "train", 4096, seed)
        for row in batch.inputs:
            found[row.tobytes()] = found.get(row.tobytes(), 0) + 1
        ones.append(np.bincount(batch.targets[:, -4:].ravel(), minlength=7)[2:])
    counts = np.array(list(found.values()))
    assert abs(len(counts) - 5**4 / 2) < 5 * (5**4 / 4) ** 0.5
    mean = seeds * 4096 / len(counts)
    assert np.sum((counts - mean) ** 2 / mean) < 1.5 * len(counts)
    np.testing.assert_allclose(np.sum(ones, axis=0) / np.sum(ones), 0.2, atol=0.03)


@pytest.mark.parametrize("spec", ["copying(lag=2,count=3,symbols=2)", *MIXED])
def test_what_cannot_be_kept_apart_is_counted(spec):
    task = tasks.make(spec)
    notes = task.notes(task.arrays())
    assert notes and all("rows of train" in note for note in notes)
    size = int(notes[0].split()[2].replace(",", ""))
    _, _, train = rows(task, "train", size, seed=7)
    for note in notes:
        split = note.split()[3]
        batch, _, _ = rows(task, split, 4096, seed=9)
        inputs_BT = np.where(batch.segments > 0, batch.inputs, 0)
        share = np.mean([row.tobytes() in train for row in inputs_BT])
        told = float(note.partition("%")[0]) / 100
        assert abs(told - share) < 0.05


def test_large_spaces_are_as_they_were():
    """No note, and the stream of the key itself."""
    for spec in ("recall", "copying", "adding", "selective_copying"):
        task = tasks.make(spec)
        assert task.notes(task.arrays()) == []
    for spec in ("copying", "selective_copying"):
        task = tasks.make(spec)
        key = jax.random.key(3)
        plain = jax.jit(lambda k, t=task: t._rows(k, "test", 4))(key)
        batch = jax.jit(lambda k, t=task: t.batch(k, "test", 4))(key)
        jax.tree.map(np.testing.assert_array_equal, plain, batch)


@pytest.mark.parametrize("name", tasks.TASKS)
def test_every_task_can_describe_its_data(name):
    assert callable(tasks.TASKS[name].notes)
    assert dataclasses.is_dataclass(tasks.TASKS[name])
