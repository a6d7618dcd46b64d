"""Every generated example against an oracle that reads it token by token."""

import numpy as np
import pytest

from tests.tasks import draw, oracles

ROWS = 2000


def drawn(spec):
    return draw.drawn(spec, ROWS)


@pytest.mark.parametrize(
    "spec",
    [
        "recall(length=48,pairs=6,vocabulary=32)",
        "recall(length=48,pairs=6,vocabulary=32,overwrites=6)",
        "recall(length=48,pairs=5,vocabulary=24,gap=1)",
        "recall(length=48,pairs=5,vocabulary=24,gap=30,overwrites=2)",
        "recall(length=64,pairs=5,vocabulary=24,gap=2..40,overwrites=3)",
        "recall(length=5,pairs=1,vocabulary=8,gap=any)",
        "mqar(length=64,pairs=8,vocabulary=32)",
    ],
)
def test_recall_is_answered_by_its_last_binding(spec):
    task, batch = drawn(spec)
    keys = (task.vocabulary - 1) // 2
    for row in range(ROWS):
        targets, gaps = oracles.recall(batch.inputs[row], task.vocabulary, keys)
        np.testing.assert_array_equal(batch.targets[row], targets)
        np.testing.assert_array_equal(batch.gap[row], gaps)
        np.testing.assert_array_equal(batch.weights[row] > 0, gaps >= 0)
        assert (gaps >= 0).sum() == task.pairs


def test_recall_asks_each_key_once_and_binds_distinct_keys():
    task, batch = drawn("recall(length=64,pairs=8,vocabulary=40,overwrites=4)")
    for row in range(ROWS):
        asked = batch.inputs[row][batch.weights[row] > 0]
        assert len(set(asked.tolist())) == task.pairs


def test_recall_keeps_its_exact_gap_and_reaches_every_gap_of_a_range():
    _, batch = drawn("recall(length=64,pairs=3,gap=17)")
    assert set(batch.gap[batch.weights > 0]) == {17}
    _, batch = drawn("recall(length=64,pairs=3,gap=4..9)")
    assert set(batch.gap[batch.weights > 0]) == set(range(4, 10))
    _, batch = drawn("recall(length=16,pairs=2)")
    assert set(range(1, 14)) <= set(batch.gap[batch.weights > 0])


def test_mqar_as_published():
    """Pairs fill the start, queries stand at even places, near ones far likelier."""
    task, batch = drawn("mqar(length=64,pairs=4,vocabulary=8192)")
    assert np.all(batch.inputs[:, :8] > 0)
    queries = np.argwhere(batch.weights > 0)[:, 1]
    assert np.all(queries >= 8) and np.all(queries % 2 == 0)
    slots = (queries - 8) // 2
    counts = np.bincount(slots, minlength=28) / ROWS
    # Without replacement the first slots are almost always taken: p(1) is 0.27.
    assert counts[0] > 0.6 > counts[4] > counts[20]
    keys = batch.inputs[:, 0:8:2]
    assert keys.min() >= 1 and keys.max() < 4096 and batch.targets.max() >= 4096


@pytest.mark.parametrize(
    "spec", ["copying(lag=7,count=5)", "selective_copying(length=40,count=6)"]
)
def test_copying_repeats_what_was_seen(spec):
    task, batch = drawn(spec)
    for row in range(ROWS):
        symbols, gaps = oracles.copying(batch.inputs[row], task.count)
        assert batch.targets[row, -task.count :].tolist() == symbols
        assert batch.gap[row, -task.count :].tolist() == gaps
        assert batch.inputs[row].tolist().count(1) == (
            1 if "selective" not in spec else task.count
        )


@pytest.mark.parametrize("causal", ["true", "false"])
def test_adding_adds_its_marked_numbers(causal):
    task, batch = drawn(f"adding(length=12,causal={causal})")
    number, mark = batch.inputs[..., 0], batch.inputs[..., 1]
    assert np.all(mark[:, :6].sum(axis=1) == 1) and np.all(mark.sum(axis=1) == 2)
    target = batch.targets if causal == "false" else batch.targets[:, -1]
    np.testing.assert_allclose((number * mark).sum(axis=1), target, rtol=1e-6)
    gap = batch.gap if causal == "false" else batch.gap[:, -1]
    np.testing.assert_array_equal(gap, 11 - mark.argmax(axis=1))
    # Always answering 1 reaches the variance of a sum of two uniform numbers.
    assert abs(np.mean((target - 1) ** 2) - task.spec.chance) < 0.04
