"""What is lost with the distance, where that is known."""

import numpy as np
import pytest

from attn_research import analysis
from attn_research.analysis import context
from attn_research.analysis.ablation import sequence_losses
from attn_research.options import BadInput
from tests.analysis.made import (
    LENGTH,
    TWO,
    VOCABULARY,
    asking,
    copier,
    families,
    restored,
)

LAG = 5
DRAWN = np.random.default_rng(0).integers(0, VOCABULARY, (3, 2 * LENGTH))
REACHES = [0, 1, LAG - 1, LAG, LAG + 1, 2 * LENGTH]


@pytest.mark.parametrize("mixer", ["conv", "dense"])
def test_what_is_copied_is_lost_just_where_it_is_out_of_sight(mixer):
    spec, batch = asking(DRAWN, LAG)
    of = copier(LAG, mixer)
    loss_KB = analysis.loss_by_context(of, spec, [batch], REACHES)
    assert (loss_KB[3:] < 0.01).all() and (loss_KB[:3] > 1).all()
    if mixer == "dense":
        loss_KB = analysis.loss_by_mask(of, spec, [batch], REACHES)
        assert (loss_KB[3:] < 0.01).all() and (loss_KB[:3] > 1).all()


def test_with_all_of_the_context_nothing_is_lost():
    of = restored("window(window=3)|lstm")
    spec, batch = asking(TWO)
    want_B = sequence_losses(of, spec, batch)
    (loss_B,) = analysis.loss_by_context(of, spec, [batch], [LENGTH])
    np.testing.assert_allclose(loss_B, want_B, rtol=1e-5)
    twice_KB = analysis.loss_by_context(of, spec, [batch, batch], [0, 2])
    assert twice_KB.shape == (2, 4)
    np.testing.assert_array_equal(twice_KB[:, :2], twice_KB[:, 2:])


def test_a_position_is_given_what_is_near_and_of_its_own_sequence():
    _, batch = asking(TWO)
    segments_BT = np.array([[1, 1, 1, 2, 2, 2, 2, 0, 0]] * 2)
    batch = batch._replace(segments=segments_BT)
    cut = context.within_reach(batch, np.array([4, 6]), 2, True)
    np.testing.assert_array_equal(
        cut.segments, [[0, 0, 0, 1, 1, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1, 1, 0, 0]]
    )
    np.testing.assert_array_equal(cut.weights, np.eye(LENGTH)[[4, 6]])
    cut = context.within_reach(batch, np.array([1, -1]), 1, False)
    np.testing.assert_array_equal(cut.segments[0], [1, 1, 1, 0, 0, 0, 0, 0, 0])
    assert not cut.weights[1].any()


def test_answers_are_chosen_evenly():
    weights_BT = np.array([[1, 1, 0, 1, 1, 1], [0, 0, 2, 0, 0, 0]])
    np.testing.assert_array_equal(
        context.answer_positions(weights_BT), [[0, 1, 3, 4, 5], [2, -1, -1, -1, -1]]
    )
    _, batch = asking(TWO)
    few_BT = context.thin(batch, 3).weights
    np.testing.assert_array_equal(few_BT, [[1, 0, 0, 0, 1, 0, 0, 1, 0]] * 2)
    chosen_BN = context.answer_positions(weights_BT, 3)
    np.testing.assert_array_equal(chosen_BN, [[0, 3, 5], [2, -1, -1]])


@pytest.mark.parametrize("causal", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_attention_nearby_is_attention_in_a_window(causal):
    spec, batch = asking(TWO, causal=causal)
    of = restored("dense(positions=alibi,groups=2)", causal=causal)
    loss_KB = analysis.loss_by_mask(of, spec, [batch], [0, 2, LENGTH])
    for reach, loss_B in zip([0, 2, LENGTH], loss_KB, strict=True):
        pattern = f"window(window={reach + 1},positions=alibi,groups=2)"
        window = restored(pattern, causal=causal)._replace(params=of.params)
        want_B = sequence_losses(window, spec, batch)
        np.testing.assert_allclose(loss_B, want_B, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("pattern", "causal"), families())
def test_every_mixer_has_a_loss_by_context(pattern, causal):
    spec, batch = asking(TWO, causal=causal)
    of = restored(pattern, causal=causal)
    loss_KB = analysis.loss_by_context(of, spec, [context.thin(batch, 3)], [0, LENGTH])
    assert np.isfinite(loss_KB).all() and (loss_KB[0] != loss_KB[1]).all()


def test_models_without_attention_and_tasks_of_one_answer_are_refused():
    spec, batch = asking(TWO)
    with pytest.raises(BadInput, match="weights of conv, lstm cannot .* dense, window"):
        analysis.loss_by_mask(restored("conv+lstm"), spec, [batch], [1])
    of = restored("dense,conv", layers=2)
    with pytest.raises(BadInput, match="weights of conv cannot be removed"):
        analysis.limit_reach(of, 3, layer=1)
    with pytest.raises(BadInput, match="The layer is 2; it must be 0 to 1"):
        analysis.limit_reach(of, 3, layer=2)
    alone, _ = asking(TWO, per_sequence=True)
    with pytest.raises(BadInput, match="one answer per sequence; for the loss by"):
        analysis.loss_by_context(of, alone, [batch], [1])
