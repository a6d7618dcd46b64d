"""The loss without a part, if it is known."""

import dataclasses

import jax
import numpy as np
import pytest

from attn_research import analysis
from attn_research.analysis.ablation import NOWHERE, WHOLE, Site, sequence_losses
from attn_research.options import BadInput
from tests.analysis.made import (
    LENGTH,
    TWO,
    WIDTH,
    asking,
    families,
    restored,
    with_arrays,
    with_zeros,
)

SPEC, BATCH = asking(TWO)


def found(of, batches=(BATCH,), fill="zero", spec=SPEC):
    """The loss of each row without each site."""
    parts = analysis.ablations(of, spec, batches, fill)
    return {part.site: part.loss_B for part in parts}


def loss_of(of, batch=BATCH, spec=SPEC):
    return np.asarray(sequence_losses(of, spec, batch))


@pytest.mark.parametrize(("pattern", "causal"), families())
def test_the_model_is_what_it_was_where_nothing_is_taken_out(pattern, causal):
    """The program that takes out any part gives the model's own loss without one, and
    another loss without any mixer or head of it."""
    of = restored(pattern, causal=causal)
    losses = found(of)
    np.testing.assert_allclose(losses[NOWHERE], loss_of(of), rtol=1e-5)
    for site, loss_B in losses.items():
        assert np.isfinite(loss_B).all(), site
        if site != NOWHERE:
            assert (loss_B != losses[NOWHERE]).any(), site


@pytest.mark.parametrize("fill", ["zero", "mean"])
def test_a_dead_head_loses_nothing(fill):
    """What head 1 says meets zeros in the output projection."""
    of = restored("dense(heads=2)")
    kernel_FD = np.random.default_rng(1).normal(size=(WIDTH, WIDTH))
    kernel_FD[WIDTH // 2 :] = 0
    losses = found(with_arrays(of, {"out.kernel": kernel_FD}), fill=fill)
    np.testing.assert_array_equal(losses[Site(0, 0, 1)], losses[NOWHERE])
    assert (np.abs(losses[Site(0, 0, 0)] - losses[NOWHERE]) > 1e-3).any()


def test_without_a_mixer_is_with_zeros_after_it():
    """One head is the whole of `out`; a layer of one mixer is that mixer."""
    of = restored("conv,dense(heads=1)", layers=2)
    blocks = of.params["trunk"]["groups"]["0"]["blocks"]
    silent = with_zeros(of._replace(params=blocks["1"]), "out").params
    want = {**blocks, "1": silent}
    trunk = {**of.params["trunk"], "groups": {"0": {"blocks": want}}}
    want_B = loss_of(of._replace(params={**of.params, "trunk": trunk}))
    losses = found(of)
    for site in (Site(1), Site(1, 0)):
        np.testing.assert_allclose(losses[site], want_B, rtol=1e-6)
    less_B = loss_of(analysis.ablate(of, 1, head=0))
    np.testing.assert_allclose(less_B, want_B, rtol=1e-6)
    assert Site(1, 0, 0) not in losses  # the one head is the mixer
    assert (np.abs(want_B - losses[NOWHERE]) > 1e-3).any()


def test_a_mean_takes_what_changes_and_leaves_what_does_not():
    """Values of zero and a bias: attention says the same everywhere. Where there is
    padding it does not count."""
    of = restored("dense(heads=2,bias=true)")
    bias_D = np.linspace(-1, 1, WIDTH)
    same = {"value.kernel": 0.0, "value.bias": 0.0, "out.bias": bias_D}
    of = with_arrays(of, same)
    segments_BT = np.where(np.arange(LENGTH) < 7, 1, 0)[None] * np.ones((2, 1), int)
    padded = BATCH._replace(
        segments=segments_BT, weights=BATCH.weights * (segments_BT > 0)
    )
    for batch in (BATCH, padded):
        means, zeros = (found(of, [batch], fill) for fill in ("mean", "zero"))
        for site in (Site(0), Site(0, 0), Site(0, 0, 1)):
            np.testing.assert_allclose(means[site], means[NOWHERE], rtol=1e-5)
        assert (np.abs(zeros[Site(0, 0)] - zeros[NOWHERE]) > 1e-3).any()


def test_batches_follow_each_other_and_a_row_without_answers_has_no_loss():
    of = restored("conv")
    empty = BATCH._replace(weights=np.zeros_like(BATCH.weights))
    losses = found(of, iter([BATCH, empty]))
    assert set(losses) == {NOWHERE, Site(0), Site(0, 0)}
    assert np.isnan(losses[NOWHERE][2:]).all()
    np.testing.assert_allclose(losses[NOWHERE][:2], loss_of(of), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("more", [{"scan": True}, {"norm_at": "post", "mlp": "gelu"}])
def test_any_way_of_stacking_layers_can_be_taken_apart(more):
    of = restored("conv,dense|linear", layers=2, **more)
    losses = found(of)
    np.testing.assert_allclose(losses[NOWHERE], loss_of(of), rtol=1e-5)
    assert [site for site in losses if site.head == WHOLE and site.place != WHOLE] == [
        Site(0, 0), Site(1, 0), Site(1, 1)
    ]  # fmt: skip


@pytest.mark.slow
def test_a_model_with_one_answer_per_sequence_can_be_taken_apart():
    of = restored("dense|gru", causal=False, classes=3)
    target_B = np.array([2, 0])
    batch = BATCH._replace(targets=target_B, weights=np.ones(2, np.float32))
    spec = dataclasses.replace(SPEC, target="class", outputs=3, per_sequence=True)
    losses = found(of, [batch], spec=spec)
    logits_BV = of.model.apply(of.params, TWO)
    want_B = -jax.nn.log_softmax(logits_BV)[np.arange(2), target_B]
    np.testing.assert_allclose(losses[NOWHERE], want_B, rtol=1e-5)
    assert all(
        (losses[site] != losses[NOWHERE]).any() for site in losses if site[0] == 0
    )


def test_the_changed_model_is_a_model():
    """It runs where the restored one does, under jit and with parameters given."""
    of = restored("dense")
    less = analysis.ablate(of, 0)
    apply = jax.jit(less.model.apply)
    trunk = of.model.bind(of.params).trunk
    want_BTV = of.model.bind(of.params).head(
        trunk.norm(trunk.embedded(TWO)), trunk.frontend.table.get_value()
    )
    np.testing.assert_allclose(apply(of.params, TWO), want_BTV, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ({"layer": 2}, "The layer is 2; it must be 0 to 1"),
        ({"layer": 0, "place": 1}, "The place is 1; it must be 0"),
        ({"layer": 0, "head": 4}, "The head is 4; it must be 0 to 3 .dense of layer"),
        ({"layer": 1, "head": 0}, "lstm has no heads that could be removed"),
    ],
)
def test_a_part_that_does_not_exist_is_refused(where, words):
    with pytest.raises(BadInput, match=words):
        analysis.ablate(restored("dense,lstm", layers=2), **where)
