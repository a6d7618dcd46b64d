"""Losses, metrics and their sums by distance, against numpy written out."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_research import evaluate
from attn_research.evaluate import Sums, bins, curve, edges, losses, metrics, sums

LENGTH = 20


def drawn(seed: int, shape=(3, LENGTH), classes: int = 5):
    """Logits, targets, weights, gaps and positions; half of the weights are zero."""
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(*shape, classes)).astype(np.float32),
        rng.integers(0, classes, shape),
        (rng.random(shape) < 0.5).astype(np.float32),
        rng.integers(-1, LENGTH, shape),
        np.broadcast_to(np.arange(shape[1]), shape),
    )


def batch_sums(logits, targets, weights, gap, position) -> Sums:
    loss, correct = losses(jnp.asarray(logits), jnp.asarray(targets), "token")
    weights, gap, position = map(jnp.asarray, (weights, gap, position))
    return sums(loss, correct, weights, gap, position, LENGTH)


def bin_of(distance: int, length: int) -> int:
    """The place of a distance by its definition, the unknown in the last bin."""
    if distance < 0:
        return bins(length) - 1
    return next(
        i for i, (low, high) in enumerate(edges(length)) if low <= distance <= high
    )


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 64, 65, 1000])
def test_bins_hold_every_distance_once(length):
    ranges = edges(length)
    assert len(ranges) == bins(length) - 1
    assert ranges[0] == (0, 0)
    assert all(
        after == high + 1
        for (_, high), (after, _) in zip(ranges, ranges[1:], strict=False)
    )
    assert ranges[-1][0] <= max(length - 1, 1) <= ranges[-1][1]


def test_losses_are_cross_entropy_and_squared_error():
    logits, targets, *_ = drawn(0)
    loss, correct = losses(jnp.asarray(logits), jnp.asarray(targets), "token")
    wide = logits.astype(np.float64)
    chance = np.exp(wide) / np.exp(wide).sum(-1, keepdims=True)
    wanted = -np.log(np.take_along_axis(chance, targets[..., None], -1))[..., 0]
    np.testing.assert_allclose(loss, wanted, rtol=1e-5)
    np.testing.assert_array_equal(correct, logits.argmax(-1) == targets)
    values = jnp.array([[[1.0], [3.0]]])
    loss, correct = losses(values, jnp.array([[1.5, 1.0]]), "value")
    np.testing.assert_allclose(loss, [[0.25, 4.0]])
    np.testing.assert_array_equal(correct, [[0, 0]])


def test_sums_are_those_of_numpy_in_all_and_in_every_bin():
    logits, targets, weights, gap, position = drawn(1)
    total = batch_sums(logits, targets, weights, gap, position)
    loss, correct = map(
        np.asarray, losses(jnp.asarray(logits), jnp.asarray(targets), "token")
    )
    for found, wanted in zip(total[:3], (1.0, loss, correct), strict=True):
        np.testing.assert_allclose(found, np.sum(weights * wanted), rtol=1e-5)
    for found_3J, distance in ((total.gap_3J, gap), (total.position_3J, position)):
        wanted_3J = np.zeros((3, bins(LENGTH)))
        for at in np.ndindex(weights.shape):
            place = bin_of(int(distance[at]), LENGTH)
            wanted_3J[:, place] += weights[at] * np.array([1.0, loss[at], correct[at]])
        np.testing.assert_allclose(found_3J, wanted_3J, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(np.sum(found_3J, axis=1), total[:3], rtol=1e-5)


def test_sums_of_batches_add_up_to_those_of_the_whole():
    """Batches of unequal weight: a mean of means would be wrong."""
    parts = [drawn(seed, shape=(rows, LENGTH)) for seed, rows in ((2, 1), (3, 4))]
    whole = [np.concatenate(pair) for pair in zip(*parts, strict=True)]
    added = evaluate.nothing(LENGTH)
    for part in parts:
        added = jax.tree.map(jnp.add, added, batch_sums(*part))
    total = batch_sums(*whole)
    for one, other in zip(added, total, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    names = ("accuracy", "loss")
    assert metrics(added, names) == pytest.approx(metrics(total, names), rel=1e-5)


def test_metrics_by_name():
    weight, loss, correct = (jnp.float32(number) for number in (4, 8, 3))
    total = Sums(weight, loss, correct, jnp.zeros((3, 3)), jnp.zeros((3, 3)))
    found = metrics(total, ("loss", "mse", "accuracy", "bits_per_byte"))
    assert found == pytest.approx(
        {"loss": 2, "mse": 2, "accuracy": 0.75, "bits_per_byte": 2 / math.log(2)}
    )
    with pytest.raises(KeyError):
        metrics(total, ("f1",))


def test_nothing_has_no_metrics_and_a_mean_of_zero():
    empty = metrics(evaluate.nothing(LENGTH), ("loss", "accuracy"))
    assert all(math.isnan(value) for value in empty.values())
    assert curve(evaluate.nothing(LENGTH).gap_3J, ("loss",), LENGTH)["low"] == []
    assert evaluate.mean(jnp.ones(3), jnp.zeros(3)) == 0
    assert evaluate.mean(jnp.array([1.0, 5.0]), jnp.array([1.0, 3.0])) == 4


def test_a_curve_lists_the_bins_with_data_without_the_unknown():
    gap = jnp.array([-1, 0, 1, 4, 5])
    weights, correct = jnp.ones(5), jnp.array([1.0, 1.0, 0.0, 1.0, 0.0])
    loss = jnp.array([9.0, 1.0, 2.0, 3.0, 5.0])
    total = sums(loss, correct, weights, gap, gap, LENGTH)
    found = curve(total.gap_3J, ("accuracy", "loss"), LENGTH)
    assert found == {
        "low": [0, 1, 4],
        "high": [0, 1, 7],
        "count": [1, 1, 2],
        "accuracy": [1, 0, 0.5],
        "loss": [1, 2, 4],
    }
