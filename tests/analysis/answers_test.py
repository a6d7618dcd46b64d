"""Answers by distance, position and rarity: of models of which these are known."""

import dataclasses
import math

import jax.numpy as jnp
import numpy as np
import pytest

from attn_research import analysis
from attn_research.analysis import subject
from attn_research.analysis.answers import Answers
from attn_research.config import edit
from attn_research.options import BadInput
from attn_research.report.inside import ANALYSES
from attn_research.tasks.contract import Batch, Spec
from tests.analysis.made import (
    LENGTH,
    TWO,
    VOCABULARY,
    copier,
    families,
    restored,
    with_zeros,
)

SPEC = Spec(
    "tokens", VOCABULARY, "token", VOCABULARY, LENGTH, True, LENGTH, ("accuracy",)
)


def batch(targets_BT, gap_BT, weights_BT=None) -> Batch:
    ones_BT = jnp.ones(TWO.shape, jnp.int32)
    if weights_BT is None:
        weights_BT = ones_BT.astype(jnp.float32)
    return Batch(jnp.asarray(TWO), jnp.asarray(targets_BT), weights_BT, ones_BT, gap_BT)


def test_what_is_copied_is_known_at_its_distance_alone():
    """The model answers with the token two back; the answers are two or three back."""
    gap_BT = np.where(np.arange(LENGTH)[None] % 2 == 0, 2, 3) * np.ones((2, 1), int)
    place_BT = np.arange(LENGTH)[None] - gap_BT
    targets_BT = np.take_along_axis(TWO, np.maximum(place_BT, 0), axis=1)
    weights_BT = jnp.asarray(place_BT >= 0, jnp.float32)
    found = analysis.each_answer(
        copier(2, "conv"), SPEC, [batch(targets_BT, jnp.asarray(gap_BT), weights_BT)]
    )
    assert len(found.loss_N) == int(weights_BT.sum())
    two, three = analysis.bin_means(found, found.score_N, found.gap_N, [(2, 2), (3, 3)])
    assert (two.mean.mean, three.mean.mean) == (1.0, 0.0)
    assert two.answers + three.answers == len(found.loss_N)
    np.testing.assert_array_equal(found.position_N, np.nonzero(weights_BT)[1])


def test_a_model_that_knows_nothing_has_the_loss_of_chance_everywhere():
    blank = with_zeros(restored("conv"), "frontend", "head", "groups")
    gap_BT = jnp.full(TWO.shape, -1)
    found = analysis.each_answer(blank, SPEC, [batch(TWO, gap_BT)] * 2)
    np.testing.assert_allclose(found.loss_N, math.log(VOCABULARY), rtol=1e-6)
    assert found.sequence_N.max() == 3
    bins = analysis.bin_means(found, found.loss_N, found.position_N, [(0, 3), (4, 99)])
    assert [one.answers for one in bins] == [4 * 4, 4 * (LENGTH - 4)]


@pytest.mark.parametrize(("pattern", "causal"), families())
def test_every_mixer_has_answers(pattern, causal):
    of = restored(pattern, causal=causal)
    asked = batch(TWO, jnp.full(TWO.shape, 3))
    found = analysis.each_answer(of, dataclasses.replace(SPEC, causal=causal), [asked])
    assert np.isfinite(found.loss_N).all() and len(found.loss_N) == TWO.size


def test_the_frequency_of_an_answer_is_its_rarity():
    targets_BT = np.zeros(TWO.shape, int)
    targets_BT[:, 0] = 5
    rarity_V = analysis.rarity(SPEC, [batch(targets_BT, targets_BT)] * 100)
    total = 200 * LENGTH + VOCABULARY
    want = {0: 200 * (LENGTH - 1) + 1, 5: 201, 7: 1}
    for answer, count in want.items():
        assert rarity_V[answer] == pytest.approx(-math.log(count / total))
    assert np.exp(-rarity_V).sum() == pytest.approx(1)
    values = Spec("values", 1, "value", 1, LENGTH, True, LENGTH, ("mse",))
    with pytest.raises(BadInput, match="of the kind value; for its rarity it must be"):
        analysis.rarity(values, [])


def test_an_interval_is_over_sequences():
    """Of two sequences, however many answers each has."""
    sequence_N = np.array([0] * 9 + [1])
    loss_N = np.where(sequence_N == 0, 1.0, 3.0)
    place_N = np.arange(10)
    found = Answers(sequence_N, loss_N, loss_N, place_N, place_N, place_N)
    (one,) = analysis.bin_means(found, loss_N, place_N, [(0, 9), (10, 19)])
    half = 12.706  # of Student's interval of two values, over their standard error 1
    assert one.mean == pytest.approx((2.0, 2 - half, 2 + half), abs=1e-3)
    assert one.answers == 10


def test_the_page_shows_answers_along_each_known_quantity():
    task = f"recall(length=16,pairs=2,vocabulary={VOCABULARY})"
    of = restored("linear", length=16)
    of = of._replace(config=edit(of.config, {"task": task}))
    shown = ANALYSES["answers"].show(subject.of_split(of, "test", 4, 16))
    names = [one.plan.name for one in shown]
    assert names == [
        f"{y}_by_{x}"
        for x in ("gap", "position", "rarity")
        for y in ("loss", "accuracy")
    ]
    of_gap, of_rarity = shown[0], shown[4]
    assert {"gap from", "to", "answers", "loss", "accuracy"} <= set(of_gap.summary[0])
    # Every value is asked about as often as any other: about log(values) nats.
    assert {round(line["rarity from"]) for line in of_rarity.summary} <= {1, 2, 3}
    text = subject.of_text(of, b"\x01\x02\x03")
    names = [one.plan.name for one in ANALYSES["answers"].show(text)]
    assert names == ["loss_by_position", "accuracy_by_position"]
