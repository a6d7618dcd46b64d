"""Metrics and their sums by distance, against numpy written out."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_research.config import Config, Model, Train
from attn_research.losses import hits, losses
from attn_research.training import metrics, population, program
from attn_research.training.metrics import Scored, Sums, bins, curve, edges, sums
from tests import parameters

LENGTH = 20
NO_CLASS = jnp.zeros((3, 0))


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


@jax.jit
def judged(logits, targets):
    return losses(logits, targets, "token")


@jax.jit
def batch_sums(logits, targets, weights, gap, position) -> Sums:
    loss, scores = losses(logits, targets, "token")
    return sums(Scored(loss, scores, weights, gap, position, NO_CLASS), LENGTH)


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
    total = jax.device_get(batch_sums(logits, targets, weights, gap, position))
    loss, (correct,) = map(np.asarray, judged(logits, targets))
    for found, wanted in zip(total.total_R, (1.0, loss, correct, 1.0), strict=True):
        np.testing.assert_allclose(found, np.sum(weights * wanted), rtol=1e-5)
    for found_RJ, distance in ((total.gap_RJ, gap), (total.position_RJ, position)):
        wanted_RJ = np.zeros((4, bins(LENGTH)))
        for at in np.ndindex(weights.shape):
            place = bin_of(int(distance[at]), LENGTH)
            wanted_RJ[:, place] += weights[at] * np.array([1, loss[at], correct[at], 1])
        np.testing.assert_allclose(found_RJ, wanted_RJ, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(np.sum(found_RJ, axis=1), total.total_R, rtol=1e-5)


def test_sums_of_batches_add_up_to_those_of_the_whole():
    """Batches of unequal weight: a mean of means would be wrong."""
    parts = [drawn(seed, shape=(rows, LENGTH)) for seed, rows in ((2, 1), (3, 4))]
    whole = [np.concatenate(pair) for pair in zip(*parts, strict=True)]
    added = jax.device_get(metrics.nothing(LENGTH, "token", 5))
    for part in parts:
        added = jax.tree.map(np.add, added, jax.device_get(batch_sums(*part)))
    total = jax.device_get(batch_sums(*whole))
    for one, other in zip(added, total, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    names = ("accuracy", "loss")
    both = [metrics.values(one, names, "token") for one in (added, total)]
    assert both[0] == pytest.approx(both[1], rel=1e-5)


def test_metrics_by_name():
    names = ("loss", "accuracy", "bits_per_byte")

    def told(total_R, names, target):
        return metrics.values(Sums(total_R, None, None, NO_CLASS), names, target)

    found = told([4, 8, 3, 4], names, "token")
    wanted = {"loss": 2, "accuracy": 0.75, "bits_per_byte": 2 / math.log(2)}
    assert found == pytest.approx(wanted)
    longer = told([4, 8, 3, 16], names, "token")  # four bytes a token
    assert longer == pytest.approx(wanted | {"bits_per_byte": 0.5 / math.log(2)})
    assert told([4, 8, 2, 4], ("mse", "mae"), "value") == {"mse": 2, "mae": 0.5}
    found = told([2, 6, 1, 1.5, 2], ("f1", "exact_match", "loss"), "span")
    assert found == {"f1": 0.75, "exact_match": 0.5, "loss": 3}
    assert told([2, 6, 1, 2], ("error_rate",), "string") == {"error_rate": 0.5}
    with pytest.raises(KeyError):
        told([4, 8, 3, 4], ("f1",), "token")


def test_nothing_has_no_metrics_and_a_mean_of_zero():
    nothing = metrics.nothing(LENGTH, "class", 4)
    empty = metrics.values(nothing, ("loss", "accuracy", "macro_f1"), "class")
    assert all(math.isnan(value) for value in empty.values())
    assert curve(nothing.gap_RJ, ("loss", "macro_f1"), "class", LENGTH)["low"] == []
    assert metrics.mean(jnp.ones(3), jnp.zeros(3)) == 0
    assert metrics.mean(jnp.array([1.0, 5.0]), jnp.array([1.0, 3.0])) == 4


def test_a_curve_lists_the_bins_with_data_without_the_unknown():
    gap = np.array([-1, 0, 1, 4, 5])
    weights = np.ones(5, np.float32)
    correct = np.array([[1, 1, 0, 1, 0]], np.float32)
    loss = np.array([9, 1, 2, 3, 5], np.float32)
    count = jax.jit(partial(sums, length=LENGTH))
    scored = Scored(loss, correct, weights, gap, gap, NO_CLASS)
    total = count(scored)
    found = curve(total.gap_RJ, ("accuracy", "loss"), "token", LENGTH)
    assert found == {
        "low": [0, 1, 4],
        "high": [0, 1, 7],
        "count": [1, 1, 2],
        "accuracy": [1, 0, 0.5],
        "loss": [1, 2, 4],
    }


def test_sums_of_groups_are_those_of_their_rows():
    logits, targets, weights, gap, position = drawn(4)
    group_B = np.array([2, 0, 2])

    @jax.jit
    def grouped(logits):
        loss, scores = losses(logits, targets, "token")
        scored = Scored(loss, scores, weights, gap, position, NO_CLASS, group_B=group_B)
        found = sums(scored, LENGTH, 4)
        return found.group_RG, loss, scores[0]

    group_RG, *each = map(np.asarray, grouped(logits))
    assert group_RG.shape == (4, 4)
    for group in range(4):
        own = group_B == group
        for found, one in zip(group_RG[1:3, group], each, strict=True):
            assert found == pytest.approx(np.sum((weights * one)[own]), rel=1e-5)
    told = metrics.by_group(
        group_RG, ("accuracy", "macro_f1"), "token", ("a", "b", "c", "d")
    )
    assert told.keys() == {"name", "count", "accuracy"}
    assert told["name"] == ["a", "c"]
    assert told["count"] == [weights[1].sum(), weights[::2].sum()]
    accuracy = np.average(each[1][::2], weights=weights[::2])
    assert told["accuracy"][1] == pytest.approx(accuracy, rel=1e-5)


def precision_and_recall(predicted, actual, weights) -> float:
    """The macro F1 by its definition, one class after another."""
    found = []
    for one in {*predicted, *actual}:
        right = weights[(predicted == one) & (actual == one)].sum()
        if right == 0:
            found.append(0.0)
            continue
        precision = right / weights[predicted == one].sum()
        recall = right / weights[actual == one].sum()
        found.append(2 * precision * recall / (precision + recall))
    return sum(found) / len(found)


counted = jax.jit(partial(hits, target="class"))


@pytest.mark.parametrize("shape", [(40,), (8, 5)])
def test_macro_f1_of_batches_is_that_of_its_definition(shape):
    """Of skewed classes, one that nobody predicts, one that is never the answer."""
    rng = np.random.default_rng(7)
    actual = rng.choice([0, 0, 0, 0, 1, 2, 3], shape)
    logits = rng.normal(size=(*shape, 6)) + 2 * np.eye(6)[actual]
    logits[..., 3] = logits[..., 5] = -100  # neither said; nor is 5 an answer
    weights = rng.integers(0, 3, shape).astype(np.float32)
    weights[:4] = 0
    total = np.zeros((3, 6))
    for low, high in ((0, 4), (4, 5), (5, None)):  # a batch that does not count
        total += counted(*(a[low:high] for a in (logits, actual, weights)))
    flat = [a.reshape(-1) for a in (logits.argmax(-1), actual, weights)]
    real = flat[2] > 0
    wanted = precision_and_recall(*(a[real] for a in flat))
    found = metrics.macro_f1(total)
    assert found == pytest.approx(wanted, rel=1e-6)
    accuracy = np.average(flat[0] == flat[1], weights=flat[2])
    assert abs(found - accuracy) > 0.1, "the same as the accuracy"
    sums = Sums(np.array([1.0, 2.0, accuracy, 1.0]), None, None, total)
    told = metrics.values(sums, ("accuracy", "macro_f1"), "class")
    assert told == {"accuracy": pytest.approx(accuracy), "macro_f1": found}


def test_macro_f1_of_a_known_table():
    """Three classes by hand; it is what scikit-learn gives for the same answers."""
    actual = np.array([0, 1, 2, 0, 1, 2])
    predicted = np.array([0, 2, 1, 0, 0, 1])
    found = counted(np.eye(3)[predicted], actual, np.ones(6))
    np.testing.assert_array_equal(found, [[2, 0, 0], [3, 2, 1], [2, 2, 2]])
    # f1_score(actual, predicted, average="macro") of its documentation: 0.26...
    assert metrics.macro_f1(found) == pytest.approx(4 / 15)


def test_a_class_is_counted_once_for_each_example_of_a_split(data_sets):
    """Nine texts in batches of four: what fills up the last one does not count.

    Nor does it in the group that it belongs to, the gender of a pronoun.
    """
    config = program.resolve(
        Config(
            "classification(data=gap,length=200)",
            Model("conv", layers=1, width=8),
            Train(batch=4),
        )
    )
    made = program.make(config, population.mesh())
    arrays = made.task.arrays()
    params_P = parameters.drawn(made.model, members=(2,))
    members = program.Member(params_P, (), (), (), (), ())
    sums_P = jax.jit(made.evaluate)(members, (arrays, np.bool_(True)))

    @jax.jit
    def answers(params_P, arrays):
        whole = made.task.examples(jnp.arange(9), "test", arrays)
        apply = jax.vmap(made.model.apply, (0, None, None))
        said_PBV = apply(params_P, whole.inputs, whole.segments)
        return said_PBV.argmax(-1), whole.targets, whole.group

    said_P, true, group = map(np.asarray, answers(params_P, arrays))
    right_P = [np.bincount(group, said == true, minlength=2) for said in said_P]
    np.testing.assert_allclose(np.asarray(sums_P.group_RG)[:, 2], right_P)
    np.testing.assert_array_equal(sums_P.group_RG[0, 0], np.bincount(group))
    for said, found in zip(said_P, np.asarray(sums_P.hits_3V), strict=True):
        np.testing.assert_array_equal(found[1], np.bincount(said, minlength=3))
        np.testing.assert_array_equal(found[2], np.bincount(true, minlength=3))
        wanted = precision_and_recall(said, true, np.ones(9))
        assert metrics.macro_f1(found) == pytest.approx(wanted)
