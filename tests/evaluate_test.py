"""Metrics and their sums by distance, against numpy written out."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_research import evaluate
from attn_research.evaluate import Sums, bins, curve, edges, metrics, sums
from attn_research.losses import losses

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
    loss, scores = losses(jnp.asarray(logits), jnp.asarray(targets), "token")
    weights, gap, position = map(jnp.asarray, (weights, gap, position))
    return sums(loss, scores, weights, gap, position, LENGTH)


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


def test_sums_are_those_of_numpy_in_all_and_in_every_bin():
    logits, targets, weights, gap, position = drawn(1)
    total = batch_sums(logits, targets, weights, gap, position)
    loss, (correct,) = map(
        np.asarray, losses(jnp.asarray(logits), jnp.asarray(targets), "token")
    )
    for found, wanted in zip(total.total_R, (1.0, loss, correct), strict=True):
        np.testing.assert_allclose(found, np.sum(weights * wanted), rtol=1e-5)
    for found_RJ, distance in ((total.gap_RJ, gap), (total.position_RJ, position)):
        wanted_RJ = np.zeros((3, bins(LENGTH)))
        for at in np.ndindex(weights.shape):
            place = bin_of(int(distance[at]), LENGTH)
            wanted_RJ[:, place] += weights[at] * np.array([1.0, loss[at], correct[at]])
        np.testing.assert_allclose(found_RJ, wanted_RJ, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(np.sum(found_RJ, axis=1), total.total_R, rtol=1e-5)


def test_sums_of_batches_add_up_to_those_of_the_whole():
    """Batches of unequal weight: a mean of means would be wrong."""
    parts = [drawn(seed, shape=(rows, LENGTH)) for seed, rows in ((2, 1), (3, 4))]
    whole = [np.concatenate(pair) for pair in zip(*parts, strict=True)]
    added = evaluate.nothing(LENGTH, "token")
    for part in parts:
        added = jax.tree.map(jnp.add, added, batch_sums(*part))
    total = batch_sums(*whole)
    for one, other in zip(added, total, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    names = ("accuracy", "loss")
    both = [metrics(one.total_R, names, "token") for one in (added, total)]
    assert both[0] == pytest.approx(both[1], rel=1e-5)


def test_metrics_by_name():
    names = ("loss", "accuracy", "bits_per_byte")
    found = metrics([4, 8, 3], names, "token")
    wanted = {"loss": 2, "accuracy": 0.75, "bits_per_byte": 2 / math.log(2)}
    assert found == pytest.approx(wanted)
    assert metrics([4, 8, 2], ("mse", "mae"), "value") == {"mse": 2, "mae": 0.5}
    found = metrics([2, 6, 1, 1.5], ("f1", "exact_match", "loss"), "span")
    assert found == {"f1": 0.75, "exact_match": 0.5, "loss": 3}
    assert metrics([2, 6, 1], ("error_rate",), "string") == {"error_rate": 0.5}
    with pytest.raises(KeyError):
        metrics([4, 8, 3], ("f1",), "token")


def test_nothing_has_no_metrics_and_a_mean_of_zero():
    nothing = evaluate.nothing(LENGTH, "token")
    empty = metrics(nothing.total_R, ("loss", "accuracy"), "token")
    assert all(math.isnan(value) for value in empty.values())
    assert curve(nothing.gap_RJ, ("loss",), "token", LENGTH)["low"] == []
    assert evaluate.mean(jnp.ones(3), jnp.zeros(3)) == 0
    assert evaluate.mean(jnp.array([1.0, 5.0]), jnp.array([1.0, 3.0])) == 4


def test_a_curve_lists_the_bins_with_data_without_the_unknown():
    gap = jnp.array([-1, 0, 1, 4, 5])
    weights, correct = jnp.ones(5), jnp.array([1.0, 1.0, 0.0, 1.0, 0.0])
    loss = jnp.array([9.0, 1.0, 2.0, 3.0, 5.0])
    total = sums(loss, correct[None], weights, gap, gap, LENGTH)
    found = curve(total.gap_RJ, ("accuracy", "loss"), "token", LENGTH)
    assert found == {
        "low": [0, 1, 4],
        "high": [0, 1, 7],
        "count": [1, 1, 2],
        "accuracy": [1, 0, 0.5],
        "loss": [1, 2, 4],
    }
