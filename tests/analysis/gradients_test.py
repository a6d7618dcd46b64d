"""Gradients by distance of functions whose gradients are known."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_research import analysis
from attn_research.analysis import gradients
from attn_research.analysis.jacobian import energy
from attn_research.analysis.layers import open_model
from attn_research.options import BadInput
from attn_research.tasks.contract import Batch, Spec
from tests.analysis.made import LENGTH, TOKENS, VOCABULARY, restored

TWO = np.stack([TOKENS, TOKENS[::-1]])


def remembering(decay: float):
    """h_t = decay h_{t-1} + x_t of every feature."""

    def run(x_TD):
        def token(h_D, x_D):
            h_D = decay * h_D + x_D
            return h_D, h_D

        return jax.lax.scan(token, jnp.zeros(x_TD.shape[1]), x_TD)[1]

    return run


def test_the_energy_is_that_of_the_whole_jacobian():
    kernel_DF = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)

    def function(x_SD):
        return jnp.tanh(jnp.cumsum(x_SD, axis=0) @ kernel_DF) * x_SD[:1, :1]

    x_SD = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)
    jacobian_TFSD = np.asarray(jax.jit(jax.jacrev(function))(x_SD))
    want_TS = np.sum(jacobian_TFSD**2, axis=(1, 3))
    found_TS = jax.jit(partial(energy, function))(x_SD)
    np.testing.assert_allclose(found_TS, want_TS, rtol=1e-5, atol=1e-7)


def test_probes_estimate_the_energy_without_bias():
    """Of 400 probes the mean is within five of its standard deviations."""
    matrix_DF = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)
    found = jax.jit(partial(energy, lambda x_SD: x_SD @ matrix_DF, probes=400))
    found_TS = np.asarray(found(np.ones((2, 4), np.float32)))
    gram_FF = matrix_DF.T @ matrix_DF
    want = np.trace(gram_FF)
    variance = 2 * (np.sum(gram_FF**2) - np.sum(np.diag(gram_FF) ** 2))
    assert abs(found_TS[0, 0] - want) < 5 * math.sqrt(variance / 400)
    assert found_TS[0, 1] == 0 and variance > 1


def test_outputs_that_are_chosen_have_the_energies_that_they_have_among_all():
    """By distance too: the mean is over the pairs of the outputs chosen."""
    of = restored("conv,rnn", layers=2)
    at_BN = np.array([[0, 3, LENGTH - 1], [5, -1, -1]])
    for layer in (None, 1):
        whole_BTS = analysis.output_energy(of, TWO, layer=layer)
        some_BNS = analysis.output_energy(of, TWO, layer=layer, at_BN=at_BN)
        assert some_BNS.shape == (2, 3, LENGTH) and not some_BNS[1, 1:].any()
        want_NS = np.concatenate([whole_BTS[0, at_BN[0]], whole_BTS[1, [5]]])
        found_NS = np.concatenate([some_BNS[0], some_BNS[1, :1]])
        np.testing.assert_allclose(found_NS, want_NS, rtol=1e-5, atol=1e-7)
    energy_BK = analysis.by_distance(some_BNS, at_BN=at_BN)
    np.testing.assert_allclose(energy_BK[1, :6], whole_BTS[1, 5, 5::-1], rtol=1e-5)
    assert np.isnan(energy_BK[1, 6:]).all()
    want = (whole_BTS[0, 3, 2] + whole_BTS[0, LENGTH - 1, LENGTH - 2]) / 2
    assert energy_BK[0, 1] == pytest.approx(want, rel=1e-5)


def test_far_distances_are_binned_and_near_ones_are_not():
    near = analysis.norms(np.arange(1.0, 17.0)[None] ** 2)
    assert [(k, norm.mean) for k, norm in near] == [(k, k + 1) for k in range(16)]
    energy_BK = np.full((2, 1000), 4.0)
    energy_BK[:, :64] = energy_BK[0, :500] = np.nan
    far = analysis.norms(energy_BK)
    assert 24 <= len(far) <= 40 and all(norm.mean == 2 for _, norm in far)
    first_J = gradients.bins(1000)
    assert first_J[0] == 0 and np.diff(first_J).max() < 100
    places = [k for k, _ in far]
    assert places == sorted(places) and places[0] >= 60 and places[-1] < 1000


def test_the_energy_of_a_span_is_the_sum_over_its_outputs():
    found = jax.jit(
        partial(energy, remembering(0.5), probes=600, at_N=np.array([0, 4]), span=4)
    )
    found_NS = np.asarray(found(np.ones((6, 3), np.float32)))
    power_TS = np.tril(
        0.5 ** np.subtract.outer(np.arange(6), np.arange(6)).astype(float)
    )
    want_NS = 3 * np.stack([(power_TS[:4] ** 2).sum(0), (power_TS[4:] ** 2).sum(0)])
    np.testing.assert_allclose(found_NS, want_NS, rtol=0.2)
    assert not found_NS[0, 4:].any()
    with pytest.raises(ValueError, match="without probes it must be 1"):
        energy(remembering(0.5), jnp.ones((6, 3)), span=2)


def test_a_recurrence_forgets_at_the_rate_of_its_decay():
    """h_t = a h_{t-1} + x_t: the gradient at distance k is a^k, from every output."""
    ones_TD = np.ones((12, 3), np.float32)
    for decay in (0.9, 0.5, 1.0):
        found_TS = jax.jit(partial(energy, remembering(decay)))(ones_TD)
        energy_BK = analysis.by_distance(np.asarray(found_TS)[None])
        norm_K = np.sqrt(energy_BK[0])
        np.testing.assert_allclose(
            norm_K, math.sqrt(3) * decay ** np.arange(12), rtol=1e-5
        )
        rate, low, high = analysis.decay(energy_BK)
        assert rate == pytest.approx(-math.log(decay), abs=1e-5)
        assert low - 1e-5 <= -math.log(decay) <= high + 1e-5


def test_the_interval_of_a_decay_holds_the_truth_as_often_as_it_says():
    """Of 200 samples of 12 sequences that decay at rates around 0.3, about 93 in 100
    hold 0.3: the bootstrap of a small sample is a little narrow."""
    draw, held = np.random.default_rng(0), 0
    for _ in range(200):
        rate_B1 = draw.normal(0.3, 0.05, (12, 1))
        energy_BK = np.exp(-2 * rate_B1 * np.arange(20))
        rate, low, high = analysis.decay(energy_BK)
        assert low < rate < high
        held += low <= 0.3 <= high
    assert 0.87 <= held / 200 <= 0.98


def test_of_one_sequence_the_interval_is_that_of_its_line():
    draw, held = np.random.default_rng(0), 0
    for _ in range(200):
        log_K = -0.3 * np.arange(20) + draw.normal(0, 0.2, 20)
        rate, low, high = analysis.decay(np.exp(2 * log_K)[None])
        assert low < rate < high
        held += low <= 0.3 <= high
    assert 0.9 <= held / 200 <= 0.99


def averaging(window: int):
    """y_t = the mean of the last `window` inputs: attention blind to content."""

    def run(x_TD):
        time_T = jnp.arange(len(x_TD))
        apart_TT = time_T[:, None] - time_T[None]
        sees_TT = ((apart_TT >= 0) & (apart_TT < window)).astype(x_TD.dtype)
        return (sees_TT / sees_TT.sum(axis=1, keepdims=True)) @ x_TD

    return run


def test_attention_that_is_blind_to_distance_does_not_fall_at_one_output():
    """Over all outputs it does: an output at t divides by t, and what is k tokens back
    is seen only from t >= k. The null model of a claim about attention."""
    x_TD, at_N = np.ones((90, 2), np.float32), np.array([89])
    function = averaging(90)
    one_NS = np.asarray(jax.jit(partial(energy, function, at_N=at_N))(x_TD))
    one_BK = analysis.by_distance(one_NS[None], at_BN=at_N[None])
    assert abs(analysis.decay(one_BK).mean) < 1e-3
    all_TS = np.asarray(jax.jit(partial(energy, function))(x_TD))
    assert analysis.decay(analysis.by_distance(all_TS[None])).mean > 0.01


def test_a_window_has_no_gradient_from_beyond_it():
    x_TD, at_N = np.ones((40, 2), np.float32), np.array([39])
    one_NS = np.asarray(jax.jit(partial(energy, averaging(8), at_N=at_N))(x_TD))
    (one_K,) = analysis.by_distance(one_NS[None], at_BN=at_N[None])
    assert (one_K[:8] > 0).all() and not one_K[8:].any()
    assert abs(analysis.decay(one_K[None]).mean) < 1e-3


def test_what_is_lost_in_rounding_is_not_fitted():
    norm_K = np.maximum(np.exp(-1.0 * np.arange(60)), 1e-9)
    assert analysis.decay(norm_K[None] ** 2).mean == pytest.approx(1.0, abs=1e-6)
    assert math.isnan(analysis.decay(np.eye(1, 9)).mean)
    assert math.isnan(analysis.decay(np.full((2, 9), np.nan)).mean)


def test_distances_stay_within_a_segment_and_are_counted_where_asked():
    apart_TS = np.subtract.outer(np.arange(6), np.arange(6))
    energy_BTS = np.where(apart_TS >= 0, 10.0 + apart_TS, 70.0)[None]
    segments_BT = np.array([[1, 1, 1, 2, 2, 0]])
    (energy_K,) = analysis.by_distance(energy_BTS, segments_BT)
    np.testing.assert_array_equal(energy_K, [10, 11, 12, np.nan, np.nan, np.nan])
    (both_K,) = analysis.by_distance(energy_BTS, segments_BT, causal=False)
    np.testing.assert_array_equal(both_K[:3], [10, (11 + 70) / 2, (12 + 70) / 2])
    (last_K,) = analysis.by_distance(energy_BTS, counts_BT=apart_TS[:1] == -5)
    np.testing.assert_array_equal(last_K, 10 + np.arange(6))


@pytest.mark.slow
@pytest.mark.parametrize("layer", [None, 1])
def test_the_gradients_of_a_model_are_those_of_its_function(layer):
    of = restored("dense,conv", layers=2, mlp="gelu")
    trunk = open_model(of).trunk

    def function(x_TD):
        blocks = list(trunk.blocks())
        x_1TD = x_TD[None]
        for block in blocks if layer is None else blocks[layer:]:
            x_1TD = block(x_1TD)
        return (trunk.norm(x_1TD) if layer is None else x_1TD)[0]

    found_BTS = analysis.output_energy(of, TWO, layer=layer)
    for tokens_T, found_TS in zip(TWO, found_BTS, strict=True):
        x_1TD = trunk.embedded(tokens_T[None])
        for block in list(trunk.blocks())[: layer or 0]:
            x_1TD = block(x_1TD)
        want_TS = jnp.sum(jax.jacrev(function)(x_1TD[0]) ** 2, axis=(1, 3))
        np.testing.assert_allclose(found_TS, want_TS, rtol=2e-4, atol=1e-6)


def test_the_loss_moves_with_what_decides_it():
    of = restored("window(window=3)", layers=2)
    weights_BT = np.zeros((2, LENGTH), np.float32)
    weights_BT[:, 5] = 2
    ones_BT = np.ones((2, LENGTH), np.int32)
    batch = Batch(TWO, np.roll(TWO, -1, 1), weights_BT, ones_BT, -ones_BT)
    spec = Spec(
        "tokens", VOCABULARY, "token", VOCABULARY, LENGTH, True, LENGTH, ("loss",)
    )
    found_BTS = analysis.loss_energy(of, spec, batch)
    assert not found_BTS[:, weights_BT[0] == 0].any()
    assert (found_BTS[:, 5, 1:6] > 0).all()
    assert not found_BTS[:, 5, 6:].any() and not found_BTS[:, 5, 0].any()
    trunk = open_model(of).trunk
    head = open_model(of).module.head

    def loss(x_TD):
        x_1TD = x_TD[None]
        for block in trunk.blocks():
            x_1TD = block(x_1TD)
        logits_1TV = head(trunk.norm(x_1TD), trunk.frontend.table.get_value())
        return -2 * jax.nn.log_softmax(logits_1TV)[0, 5, TWO[0, 6]]

    slope = jax.jit(lambda: jax.grad(loss)(trunk.embedded(TWO[:1])[0]))
    want_S = np.sum(np.asarray(slope()) ** 2, axis=1)
    np.testing.assert_allclose(found_BTS[0, 5], want_S, rtol=2e-4, atol=1e-6)
    alone = batch._replace(weights=weights_BT[:, 5])
    with pytest.raises(BadInput, match="one answer per sequence"):
        analysis.loss_energy(of, spec, alone)


def test_norms_have_their_intervals():
    points = gradients.norms(np.array([[4.0, 1.0, np.nan], [16.0, 1.0, np.nan]]))
    assert [at for at, _ in points] == [0.0, 1.0]
    assert points[0][1].mean == 3.0
    assert points[0][1].low == pytest.approx(3 - 12.706, abs=1e-3)  # Student's
    assert tuple(points[1][1]) == (1.0, 1.0, 1.0)
    with pytest.raises(BadInput, match="The layer is 2; it must be 0"):
        analysis.output_energy(restored("conv"), TOKENS, layer=2)
