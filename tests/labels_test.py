"""Targets that do not exist: refused if they are known, NaN in a compiled program."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_research.losses import BLANK, hits, losses
from attn_research.options import BadInput
from attn_research.training import metrics

RNG = np.random.default_rng(0)
CLASSES = 5
LOGITS_BTV = RNG.normal(size=(2, 6, CLASSES)).astype(np.float32)
GOOD_BT = RNG.integers(0, CLASSES, (2, 6)).astype(np.int32)
SPANS = RNG.normal(size=(2, 6, 2)).astype(np.float32)
SEGMENTS_BT = np.array([[1] * 6, [1] * 4 + [0] * 2], np.int32)


def compiled(*arguments, **options):
    target = arguments[2]
    return jax.jit(lambda o, t, **given: losses(o, t, target, **given))(
        *arguments[:2], **options
    )


def changed(values, place, value):
    copy = np.array(values)
    copy[place] = value
    return copy


@pytest.mark.parametrize("kind", [np.int32, np.int64, np.int8, np.uint8])
@pytest.mark.parametrize("wrong", [CLASSES, 100, -1, -100])
@pytest.mark.parametrize("target", ["token", "class"])
def test_a_class_outside_the_outputs(target, wrong, kind):
    if wrong < 0 and kind is np.uint8:
        wrong += 256
    outputs, good = LOGITS_BTV, GOOD_BT
    if target == "class":
        outputs, good = outputs[:, 0], good[:, 0]
    place = (1, 3)[: good.ndim] if target == "token" else (1,)
    bad = changed(good.astype(kind), place, wrong)
    for given in (bad, jnp.asarray(bad)):
        with pytest.raises(BadInput, match=f"hold {wrong}; they must be from 0 to 4"):
            losses(outputs, given, target)
    loss, scores = map(np.asarray, compiled(outputs, bad, target))
    right, right_scores = map(np.asarray, compiled(outputs, good, target))
    there = np.zeros(good.shape, bool)
    there[place] = True
    np.testing.assert_array_equal(np.isnan(loss), there)
    np.testing.assert_array_equal(np.isnan(scores[0]), there)
    np.testing.assert_array_equal(loss[~there], right[~there])
    np.testing.assert_array_equal(scores[0][~there], right_scores[0][~there])


def test_every_class_is_allowed():
    for value in range(CLASSES):
        loss, _ = losses(LOGITS_BTV, np.full((2, 6), value), "token")
        log = LOGITS_BTV - np.log(np.exp(LOGITS_BTV).sum(-1, keepdims=True))
        np.testing.assert_allclose(loss, -log[..., value], rtol=1e-5)


def test_a_target_without_weight_may_be_any_number():
    weights = changed(np.ones((2, 6), np.float32), (1, 3), 0)
    bad = changed(GOOD_BT, (1, 3), -100)
    for call in (losses, compiled):
        loss, scores = call(LOGITS_BTV, bad, "token", weights=weights)
        assert np.isfinite(loss).all() and np.isfinite(scores).all()
        wanted = metrics.mean(losses(LOGITS_BTV, GOOD_BT, "token")[0], weights)
        np.testing.assert_array_equal(metrics.mean(loss, weights), wanted)
        with pytest.raises(BadInput):
            losses(LOGITS_BTV, bad, "token", weights=np.ones((2, 6)))

    def mean(logits):
        loss, _ = losses(logits, bad, "token", weights=weights)
        return metrics.mean(loss, weights)

    slopes = jax.jit(jax.grad(mean))(LOGITS_BTV)
    assert np.isfinite(slopes).all() and not slopes[1, 3].any()


@pytest.mark.parametrize("target", ["token", "class", "span", "string"])
def test_targets_that_are_no_whole_numbers(target):
    outputs = SPANS if target == "span" else LOGITS_BTV
    for call in (losses, compiled):
        with pytest.raises(BadInput, match="float32; they must be whole numbers"):
            call(outputs, np.zeros((2, 2), np.float32), target)


@pytest.mark.parametrize(
    "span", [(0, 4), (4, 5), (-1, 2), (0, 6), (3, 2), (7, 7)], ids=str
)
def test_a_span_that_is_not_there(span):
    """The second row has four real positions."""
    bad = np.array([[2, 5], span])
    with pytest.raises(BadInput, match=f"row 1 is {span[0]} to {span[1]}; its ends"):
        losses(SPANS, bad, "span", SEGMENTS_BT)
    loss, scores = map(
        np.asarray, compiled(SPANS, bad, "span", segments_BT=SEGMENTS_BT)
    )
    assert np.isfinite(loss[0]) and np.isnan(loss[1])
    assert np.isfinite(scores[:, 0]).all() and np.isnan(scores[:, 1]).all()
    loss, _ = losses(SPANS, bad, "span", SEGMENTS_BT, weights=np.array([1.0, 0.0]))
    assert np.isfinite(loss).all()


@pytest.mark.parametrize("wrong", [CLASSES, -1])
def test_a_symbol_outside_the_outputs(wrong):
    bad = np.array([[2, 1, BLANK], [3, wrong, BLANK]])
    with pytest.raises(BadInput, match=f"hold {wrong}; they must be from 0 to 4"):
        losses(LOGITS_BTV, bad, "string")
    loss, scores = map(np.asarray, compiled(LOGITS_BTV, bad, "string"))
    assert np.isnan(loss).tolist() == [False, True]
    assert np.isnan(scores[0]).tolist() == [False, True]


def test_hits_of_a_class_that_does_not_exist():
    outputs, weights = LOGITS_BTV[:, 0], np.ones(2, np.float32)
    bad = np.array([1, CLASSES])
    with pytest.raises(BadInput, match="hold 5"):
        hits(outputs, bad, weights, "class")
    counts = jax.jit(hits, static_argnums=3)(outputs, bad, weights, "class")
    assert np.isnan(metrics.macro_f1(counts))
    left_out = np.array([1.0, 0.0], np.float32)
    counts = jax.jit(hits, static_argnums=3)(outputs, bad, left_out, "class")
    wanted = hits(outputs[:1], bad[:1], left_out[:1], "class")
    np.testing.assert_array_equal(counts, wanted)
