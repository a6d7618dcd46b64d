"""Batches whose rows the host reads have the bits of those that a device gathers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_research.options import INT_MAX
from attn_research.tasks.masked import MaskedText
from attn_research.tasks.parts import windows
from attn_research.tasks.parts.sets import Stretches
from attn_research.tasks.text import Text


def keys(count: int) -> np.ndarray:
    return np.stack(
        [jax.random.key_data(jax.random.key(seed)) for seed in range(count)]
    )


def read(text, key_N2, split, size: int, length: int) -> windows.Windows:
    start_NB = windows.places(text, key_N2, split, size, length)
    return windows.read(text, key_N2, split, start_NB, length)


@pytest.mark.parametrize("count", [1, 7, 100_000, INT_MAX])
def test_the_host_draws_the_starts_of_the_device(count):
    for split in ("train", "test"):
        start_NB = windows.wide_starts(keys(3), split, 40, count)
        for seed in range(3):
            want_B1 = windows.starts(jax.random.key(seed), split, 40, count)
            np.testing.assert_array_equal(start_NB[seed], want_B1[:, 0])


def test_starts_beyond_32_bits_are_everywhere():
    count = 3 * 2**40
    start_N = windows.wide_starts(keys(50), "train", 200, count).reshape(-1)
    assert start_N.dtype == np.int64 and len(set(start_N.tolist())) == 10_000
    assert 0 <= start_N.min() and start_N.max() < count
    # Each tenth of the range has a tenth of them, within five standard deviations.
    share_N = np.bincount(start_N * 10 // count, minlength=10) / 10_000
    assert np.abs(share_N - 0.1).max() < 5 * 0.003
    # The low bits are drawn too.
    low_N = np.bincount(start_N % 10, minlength=10) / 10_000
    assert np.abs(low_N - 0.1).max() < 5 * 0.003


@pytest.fixture
def folder(tmp_path):
    draw = np.random.default_rng(0)
    for name in range(30):
        words = draw.choice(["ant", "bee", "cat", "dog", "\n", "é"], 200)
        (tmp_path / f"{name}.txt").write_text(" ".join(words))
    return str(tmp_path)


@pytest.mark.parametrize("kind", [Text, MaskedText])
@pytest.mark.parametrize("raw", [False, True])
def test_a_batch_of_windows_has_the_bits_of_one_of_arrays(kind, raw, folder):
    task, size = kind(path=folder, length=24), 5
    arrays, text = task.arrays(), task.stored()["text"]

    @jax.jit
    def batch(key, split, arrays):
        return task.batch(key, split, size, arrays)

    for place, split in enumerate(("train", "validation", "test")):
        sent = read(text, keys(4), split, size, task.length + 1)
        assert sent.row_NBT.dtype == np.uint8  # narrow on the wire
        for seed in (3, 0):
            key = jax.random.key(seed)
            key = jax.random.key_data(key) if raw else key
            want = batch(key, jnp.int32(place), arrays)
            found = batch(key, jnp.int32(place), {"text": sent})
            for one, two in zip(want, found, strict=True):
                assert (one is None) == (two is None)
                if one is not None:
                    assert one.dtype == two.dtype
                    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("kind", [Text, MaskedText])
def test_a_batch_that_was_not_sent_counts_as_not_a_number(kind, folder):
    task = kind(path=folder, length=24)
    sent = {"text": read(task.stored()["text"], keys(2), "train", 3, 25)}
    for seed, split, known in ((1, "train", True), (2, "train", False),
                               (1, "test", False)):  # fmt: skip
        batch = task.batch(jax.random.key(seed), split, 3, sent)
        assert bool(jnp.isfinite(jnp.sum(batch.weights))) == known
    with pytest.raises(ValueError, match="batch of 4 rows is asked of windows of 3"):
        task.batch(jax.random.key(1), "train", 4, sent)


def test_rows_are_those_of_the_split_that_is_asked_for():
    values = np.repeat(np.arange(3, dtype=np.uint8), 100)

    class Row:
        def rows(self, start_B, length):
            return np.stack([values[start : start + length] for start in start_B])

    text = Stretches(Row(), np.array([0, 100, 200, 300]))
    for place, split in enumerate(("train", "validation", "test")):
        sent = read(text, keys(20), split, 8, 10)
        assert set(np.unique(sent.row_NBT)) == {place}
        assert set(sent.split_N) == {place}
