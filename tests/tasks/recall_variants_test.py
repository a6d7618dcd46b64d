"""Recall in its forms: every example against an oracle that reads it in order."""

import numpy as np
import pytest

from tests.tasks import oracles, oracles_recall
from tests.tasks.draw import assert_even, assert_share, drawn, listed


def same(batch, solved):
    """The targets, gaps and weights of a batch are those of the oracle, exactly."""
    targets, gaps = map(np.array, zip(*solved, strict=True))
    np.testing.assert_array_equal(batch.targets, targets)
    np.testing.assert_array_equal(batch.gap, gaps)
    np.testing.assert_array_equal(batch.weights, gaps >= 0)
    np.testing.assert_array_equal(batch.segments, 1)


@pytest.mark.parametrize(
    "spec",
    [
        "noisy_recall(length=48,pairs=5,vocabulary=24,noise=0.3,overwrites=3)",
        "noisy_recall(length=40,pairs=4,vocabulary=24,noise=1,gap=3..20)",
    ],
)
def test_noise_leaves_recall_as_it_is(spec):
    task, batch = drawn(spec)
    keys = (task.vocabulary - 1) // 2
    same(batch, [oracles.recall(row, task.vocabulary, keys) for row in batch.inputs])
    assert np.all(np.sum(batch.gap >= 0, axis=1) == task.pairs)
    # What is no pair and no query is noise as often as asked for, of any token alike.
    free = batch.inputs.size - batch.inputs.shape[0] * (
        3 * task.pairs + 2 * task.overwrites
    )
    noise = batch.inputs[batch.inputs >= task.vocabulary] - task.vocabulary
    if task.noise < 1:
        assert_share(noise.size, free, task.noise)
    else:
        assert noise.size == free
    assert_even(noise, task.noise_vocabulary)


@pytest.mark.parametrize(
    "spec",
    [
        "fuzzy_recall(length=64,pairs=5,vocabulary=20)",
        "fuzzy_recall(length=60,pairs=6,vocabulary=9,key_motif=2..3,value_motif=2)",
        "fuzzy_recall(length=16,pairs=4,vocabulary=12,key_motif=1,value_motif=1)",
    ],
)
def test_motifs_are_answered_by_their_binding(spec):
    task, batch = drawn(spec)
    keys = (task.vocabulary - 1) // 2
    rows = listed(batch.inputs)
    same(batch, [oracles_recall.fuzzy(row, keys) for row in rows])
    (low, high), (least, longest) = task._sizes()
    key_sizes, value_sizes = set(), set()
    for row in rows:
        runs = oracles_recall.motifs(row, keys)
        found = [motif for is_key, _, motif in runs if is_key]
        assert sorted(found) == sorted(2 * list(set(found)))
        assert all(len(set(motif)) == len(motif) for _, _, motif in runs)
        key_sizes |= {len(motif) for motif in found}
        value_sizes |= {len(motif) for is_key, _, motif in runs if not is_key}
    assert key_sizes == set(range(low, high + 1))
    assert value_sizes == set(range(least, longest + 1))
    assert_even(batch.targets[batch.weights > 0] - 1 - keys, task.vocabulary - 1 - keys)


def test_keys_of_every_size_are_as_frequent():
    task, batch = drawn("fuzzy_recall(length=64,pairs=5,vocabulary=20)")
    sizes = [
        len(motif)
        for row in listed(batch.inputs)
        for is_key, _, motif in oracles_recall.motifs(row, 9)
        if is_key
    ]
    # Each key stands twice.
    assert_even(np.repeat(np.arange(3), np.bincount(sizes)[1:] // 2), 3)


@pytest.mark.parametrize(
    "spec",
    [
        "multi_hop_recall(length=40,chains=3,hops=3,vocabulary=16)",
        "multi_hop_recall(length=40,chains=3,hops=2,vocabulary=11,order=forward)",
        "multi_hop_recall(length=32,chains=4,hops=3,vocabulary=20,order=backward)",
        "multi_hop_recall(length=20,chains=4,hops=1,vocabulary=10)",
    ],
)
def test_chains_are_followed_to_their_end(spec):
    task, batch = drawn(spec)
    rows = listed(batch.inputs)
    same(batch, [oracles_recall.hops(row, task.hops) for row in rows])
    assert np.all(np.sum(batch.gap >= 0, axis=1) == task.chains)
    assert_even(batch.targets[batch.weights > 0] - 2, task.vocabulary - 2)


def test_links_stand_in_the_order_asked_for():
    """A reader who never looks back arrives forward, by luck in any order, or never."""

    def arrived(order):
        _, batch = drawn(
            f"multi_hop_recall(length=40,chains=3,hops=2,vocabulary=11,order={order})"
        )
        found = [n for row in listed(batch.inputs) for n in oracles_recall.walks(row)]
        return np.array(found) == 2

    assert np.all(arrived("forward")) and not np.any(arrived("backward"))
    assert_share(arrived("any").sum(), arrived("any").size, 1 / 2)


@pytest.mark.parametrize(
    ("spec", "gaps"),
    [
        ("induction(length=32,triggers=4,vocabulary=12)", range(1, 30)),
        ("induction(length=32,triggers=5,vocabulary=40,gap=7)", [7]),
        ("induction(length=48,triggers=5,vocabulary=16,gap=1..12)", range(1, 13)),
    ],
)
def test_the_second_of_two_bigrams_is_told_by_the_first(spec, gaps):
    task, batch = drawn(spec)
    asked = batch.weights > 0
    same(
        batch,
        [
            oracles_recall.induction(row, np.flatnonzero(at))
            for row, at in zip(listed(batch.inputs), asked, strict=True)
        ],
    )
    assert np.all(asked.sum(axis=1) == task.triggers)
    assert set(batch.gap[asked]) == set(gaps)
    for row, at in zip(batch.inputs, asked, strict=True):
        assert len(set(row[at])) == task.triggers
        assert np.isin(row, row[at]).sum() == 2 * task.triggers
    # The bigram stands there a second time, its end too.
    assert not np.any(asked[:, -1])
    np.testing.assert_array_equal(
        batch.inputs[:, 1:][asked[:, :-1]], batch.targets[asked]
    )
    assert_even(batch.targets[asked], task.vocabulary)
    assert_even(batch.inputs[asked], task.vocabulary)
