"""The MAD tasks: published settings, and every example against a naive oracle."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_research import tasks
from tests.tasks import oracles_mad
from tests.tasks.draw import assert_even, assert_share, drawn, listed


def whole(batch):
    """The sequences with their last answers, which no model sees."""
    return listed(np.concatenate([batch.inputs, batch.targets[:, -1:]], axis=1))


def asks_for_next_tokens(batch, gaps, split):
    """Targets follow the inputs; training asks everywhere, a test for answers."""
    gaps = np.array(gaps)[:, :-1]
    np.testing.assert_array_equal(batch.gap, gaps)
    np.testing.assert_array_equal(batch.targets[:, :-1], batch.inputs[:, 1:])
    everywhere = split == "train"
    np.testing.assert_array_equal(batch.weights, (gaps >= 0) | everywhere)
    np.testing.assert_array_equal(batch.segments, 1)


PUBLISHED = [
    ("mad_recall", 16, 127, 1 / 8),
    ("mad_noisy_recall", 32, 127, 1 / 8),
    ("mad_fuzzy_recall", 16, 128, 1 / 8),
    ("mad_selective_copying", 16, 256, 1 / 14),
    ("mad_compression", 16 + 31, 32 + 31, 1 / 15),
    ("mad_memorization", 256, 32, 1 / 127),
]


@pytest.mark.parametrize(("name", "features", "length", "chance"), PUBLISHED)
def test_the_defaults_are_the_published_sizes(name, features, length, chance):
    spec = tasks.make(name).spec
    assert (spec.features, spec.length, spec.chance) == (features, length, chance)
    assert spec.metrics[0] == "accuracy" and spec.causal


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("name", ["mad_recall", "mad_noisy_recall"])
def test_pairs_are_answered_where_their_key_was_shown(name, split):
    _, batch = drawn(name, split=split)
    rows = whole(batch)
    asks_for_next_tokens(batch, [oracles_mad.pairs(row, 8, 8) for row in rows], split)
    slots = np.array(rows).reshape(len(rows), 64, 2)
    # The last key was shown, so that each sequence has an answer at its end.
    assert np.all(batch.gap[:, -1] >= 0)
    noise = slots[:, :-1] >= 16
    if name == "mad_recall":
        assert not np.any(noise)
        assert_even(slots[:, :-1, 0], 8)
    else:
        # One slot of 63, drawn for each sequence, is never noise.
        assert_share(noise[..., 0].sum(), len(rows) * 62, 0.2)
        assert_even(slots[:, :-1][noise] - 16, 16)
        assert_even(slots[:, :-1, 0][~noise[..., 0]], 8)
    # Values are drawn for a key once in a sequence: count each key once.
    first = [dict(reversed(row)) for row in slots[:, :-1].tolist()]
    values = [value for row in first for key, value in row.items() if key < 8]
    assert_even(np.array(values) - 8, 8)


def test_the_last_key_is_each_of_those_shown_as_likely():
    """And not each of its showings, or rarer keys would be asked for more rarely."""
    _, batch = drawn("mad_recall(length=12,vocabulary=4)", rows=4096)
    key = np.array(whole(batch))[:, ::2]
    ones = key[:, :-1].sum(axis=1)
    # One of two keys was shown once, the other four times.
    assert_even(key[ones == 1, -1], 2)
    assert_even(key[ones == 4, -1], 2)


@pytest.mark.parametrize("split", ["train", "test"])
def test_motif_pairs_are_answered_where_their_key_was_shown(split):
    _, batch = drawn("mad_fuzzy_recall", split=split)
    rows = whole(batch)
    gaps, seen = zip(
        *(oracles_mad.motif_pairs(row, 7, 15) for row in rows), strict=True
    )
    asks_for_next_tokens(batch, gaps, split)
    assert np.all(batch.gap[:, -1] >= 0), "the last key was never shown"
    keys = [key for row in seen for key, _ in row]
    values = [value for row in seen for _, value in row]
    assert all(len(set(motif)) == len(motif) for motif in keys + values)
    key_sizes = np.array([len(key) for key in keys])
    assert set(key_sizes) == ({1, 2, 3} if split == "train" else {3})
    assert {len(value) for value in values} == {1, 2, 3}
    # A sequence ends where another pair of the longest might not fit, then the probe.
    for row, pairs in zip(rows, seen, strict=True):
        probe = sum(map(len, pairs[-1]))
        before = len(row) - row.count(15) - probe
        last = sum(map(len, pairs[-2]))
        assert before - last < 128 - probe - 6 <= before
    # The first pairs are drawn freely, but where the probe stands.
    first = [motif for row in seen for motif in row[0]]
    assert_even([motif[0] for motif in first[::2]], 7)
    assert_even([motif[0] - 7 for motif in first[1::2]], 8)
    assert_even([len(motif) - 1 for motif in first[1::2]], 3)


def test_training_on_answers_alone():
    _, batch = drawn("mad_recall(next_token=false)")
    np.testing.assert_array_equal(batch.weights, batch.gap >= 0)
    _, everywhere = drawn("mad_recall")
    np.testing.assert_array_equal(batch.inputs, everywhere.inputs)
    assert tasks.make("mad_recall(next_token=false)").spec.labels == 63


@pytest.mark.parametrize(
    "spec", ["mad_selective_copying", "mad_selective_copying(length=24,count=5)"]
)
def test_symbols_are_copied_in_order(spec):
    task, batch = drawn(spec)
    rows = listed(batch.inputs)
    targets, gaps = zip(
        *(oracles_mad.copying(row, 14, 15) for row in rows), strict=True
    )
    np.testing.assert_array_equal(batch.targets, targets)
    np.testing.assert_array_equal(batch.gap, gaps)
    np.testing.assert_array_equal(batch.weights, np.array(gaps) >= 0)
    n = task.count
    assert np.all(np.sum(batch.weights > 0, axis=1) == n)
    assert_even(batch.targets[batch.weights > 0], 14)
    # Each blank before the sign stands before one of the symbols, any alike.
    sign = task.length - n - 1
    assert np.all(batch.inputs[:, sign] == 15)
    assert np.all(batch.inputs[:, sign - 1] < 14)
    after = np.cumsum(batch.inputs[:, :sign] < 14, axis=1)
    assert_even(after[batch.inputs[:, :sign] == 14], n)


def test_compressed_tokens_are_asked_for_by_their_places():
    task, batch = drawn("mad_compression", rows=2048)
    rows = listed(batch.inputs)
    targets, gaps = zip(
        *(oracles_mad.compression(row, 16) for row in rows), strict=True
    )
    np.testing.assert_array_equal(batch.targets, targets)
    np.testing.assert_array_equal(batch.gap, gaps)
    np.testing.assert_array_equal(batch.weights, np.array(gaps) >= 0)
    assert np.all(batch.inputs[:, 31] == 15)
    np.testing.assert_array_equal(batch.inputs[:, 32:] - 16, [range(31)] * len(rows))
    assert_even(batch.inputs[:, :31], 15)


def test_memorised_values_are_those_of_training():
    """What training shows is all that a test asks for, whatever the seed of the run."""
    _, train = drawn("mad_memorization")
    table = {}
    assert np.all(train.inputs[:, 1::2] == 255) and not np.any(train.targets[:, ::2])
    keys, values = train.inputs[:, ::2].ravel(), train.targets[:, 1::2].ravel()
    for key, value in zip(listed(keys), listed(values), strict=True):
        assert table.setdefault(key, value) == value, "a key has two values"
    assert sorted(table) == list(range(127))
    assert len(set(table.values())) == 127
    assert min(table.values()) >= 127 and max(table.values()) <= 254
    _, test = drawn("mad_memorization", split="test", seed=4)
    rows = listed(test.inputs)
    np.testing.assert_array_equal(
        test.targets, [oracles_mad.memorization(row, 255, table) for row in rows]
    )
    signs = test.inputs == 255
    np.testing.assert_array_equal(test.weights, signs)
    np.testing.assert_array_equal(test.gap, np.where(signs, 1, -1))
    assert_even(test.inputs[~signs], 127)


def test_another_table_has_other_values():
    tables = [
        tasks.make(f"mad_memorization(table={seed})").arrays()["value_K"]
        for seed in (12345, 12345, 1)
    ]
    np.testing.assert_array_equal(tables[0], tables[1])
    # A random permutation keeps about one place.
    assert np.sum(tables[0] == tables[2]) < 10


def test_harder_published_settings_can_be_drawn():
    for spec in (
        "mad_recall(vocabulary=128,length=1024)",
        "mad_noisy_recall(vocabulary=144,noise=0.8)",
        "mad_fuzzy_recall(vocabulary=128,length=1024)",
        "mad_selective_copying(length=1024,count=96)",
        "mad_compression(length=256)",
        "mad_memorization(vocabulary=8192)",
    ):
        task = tasks.make(spec)
        arrays = jax.tree.map(jnp.asarray, task.arrays())
        shapes = jax.eval_shape(
            lambda key, task=task, arrays=arrays: task.batch(key, "train", 128, arrays),
            jax.random.key(0),
        )
        assert shapes.inputs.shape == (128, task.spec.length)
