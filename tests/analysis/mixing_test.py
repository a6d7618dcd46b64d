"""Mixing matrices whose entries are known, and that of every mixer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_research import analysis
from attn_research.analysis import mixing
from attn_research.analysis.layers import Named, check_inputs, mixer_inputs, open_model
from attn_research.modules import MIXERS
from attn_research.modules.contract import both_ways_only
from attn_research.modules.models import Sizes, build
from attn_research.ops import recurrence
from attn_research.options import BadInput
from tests.analysis.made import LENGTH, TOKENS, VOCABULARY, restored, with_zeros

AHEAD_TS = np.triu(np.ones((LENGTH, LENGTH), bool), 1)
# Small enough for a matrix to be more than the mean of all tokens.
OPTIONS = {
    "window": "(window=3)",
    "bigbird": "(window=2,globals=1,random=1,block=2)",
    "sparse_transformer": "(window=2,stride=4)",
    "topk": "(count=3)",
    "moba": "(count=2,block=2)",
    "reformer": "(span=2,buckets=4)",
    "linformer": "(slots=3)",
    "nystrom": "(landmarks=3)",
    "mamba2": "(state=4)",
    "hyena": "(hidden=4)",
    "baseconv": "(hidden=4)",
}


# Convolutions and gated cells pass what they mix through more than one linear op.
WITHOUT_AN_OP = {"rnn", "lstm", "gru", "slstm", "conv", "dilated", "baseconv", "hyena"}


def only(pattern: str, **more) -> tuple[Named, jax.Array]:
    """The one mixer of a model, and what it is given."""
    return mixing.chosen(restored(pattern, **more), TOKENS, 0)


# One of each class of mixers; the others are presets, or kin.
QUICK = ("dense", "bigbird", "linear", "delta", "mlstm", "mamba", "diagonal", "s4d")
QUICK += ("nystrom", "lstm", "conv", "hyena")


def some(names):
    """Quick ones, and the others in the slow tier."""
    marks = {name: () if name in QUICK else pytest.mark.slow for name in names}
    return [pytest.param(name, marks=marks[name]) for name in sorted(marks)]


@pytest.mark.parametrize("name", some(set(MIXERS) - WITHOUT_AN_OP))
def test_the_closed_form_of_a_mixer_is_what_its_op_does(name):
    """Of any values, the op makes the product with the matrix: so it is linear, mixes
    all features of a head alike, and the matrix is exact."""
    causal = not both_ways_only(MIXERS[name])
    named, x_TD = only(name + OPTIONS.get(name, ""), causal=causal)
    (op,) = mixing.ops(named, x_TD)
    M_HTS = mixing.closed(named, x_TD)
    assert M_HTS.shape == (op.heads, LENGTH, LENGTH)
    assert mixing.heads(named, x_TD) == op.heads
    if causal:
        assert not M_HTS[:, AHEAD_TS].any()
    values = np.random.default_rng(1).normal(size=op.values.shape)
    values = values.astype(op.values.dtype)
    if values.ndim == 5:  # (1, T, J, H, E): the updates of a token share their values
        values[:] = values[:, :, :1]
    got_THE = np.asarray(jax.jit(op.run)(values))[0].reshape(LENGTH, op.heads, -1)
    v_SHE = values[0, :, 0] if values.ndim == 5 else values[0]
    v_SHE = v_SHE.reshape(LENGTH, v_SHE.shape[1], -1)
    v_SHE = np.repeat(v_SHE, op.heads // v_SHE.shape[1], axis=1)
    want_THE = np.einsum("HTS,SHE->THE", M_HTS, v_SHE)
    np.testing.assert_allclose(got_THE, want_THE, atol=2e-5 * np.abs(want_THE).max())


@pytest.mark.parametrize(
    ("pattern", "causal"), [("dense(heads=2)", True), ("s4d(state=2)", False)]
)
def test_spans_of_tokens_have_the_sums_and_means_of_the_matrix(pattern, causal):
    """Nine tokens in spans of four: the last one has one token; there and back."""
    named, x_TD = only(pattern, causal=causal)
    M_HTS, first = mixing.closed(named, x_TD), [0, 4, 8]
    want_HRS = np.add.reduceat(np.add.reduceat(M_HTS, first, axis=2), first, axis=1)
    want_HRS /= np.array([4, 4, 1])[:, None]
    found_HRS = mixing.coarse(named, x_TD, 4)
    assert found_HRS.shape == (len(M_HTS), 3, 3)
    np.testing.assert_allclose(found_HRS, want_HRS, rtol=2e-4, atol=1e-5)


def test_spans_of_a_jacobian_are_estimated_by_their_energies():
    named, x_TD = only("conv(width=3)")
    energy_TS, first = mixing.jacobian(named, x_TD) ** 2, [0, 3, 6]
    want_RS = np.add.reduceat(np.add.reduceat(energy_TS, first, 1), first, 0) / 3
    (found_RS,) = mixing.coarse(named, x_TD, 3, probes=400)
    np.testing.assert_allclose(found_RS, np.sqrt(want_RS), rtol=0.1)
    assert not found_RS[np.triu_indices(3, 1)].any()


@pytest.mark.parametrize("name", some(WITHOUT_AN_OP))
def test_a_mixer_without_a_closed_form_has_a_jacobian(name):
    of = restored(name + OPTIONS.get(name, ""))
    with pytest.raises(BadInput, match=f"{name} has no mixing matrix in closed form"):
        analysis.mixing_matrix(of, TOKENS, layer=0, form="closed")
    M_TS = analysis.mixing_matrix(of, TOKENS, layer=0)
    assert np.isfinite(M_TS).all() and not M_TS[AHEAD_TS].any()
    near_TS = ~AHEAD_TS & (np.subtract.outer(*2 * [np.arange(LENGTH)]) < 2)
    assert (M_TS[near_TS] > 0).all()


@pytest.mark.parametrize("name", ["delta", "s5"])
def test_the_way_back_has_heads_of_its_own(name):
    named, x_TD = only(name, causal=False)
    M_HTS = mixing.closed(named, x_TD)
    there_HTS, back_HTS = np.split(M_HTS, 2)
    assert not there_HTS[:, AHEAD_TS].any() and there_HTS.any()
    assert not back_HTS[:, AHEAD_TS.T].any() and back_HTS[:, AHEAD_TS].any()
    last = len(M_HTS) - 1
    np.testing.assert_array_equal(mixing.closed(named, x_TD, [0, last])[1], M_HTS[last])


def test_attention_without_queries_is_the_mean_of_the_past():
    of = with_zeros(restored("conv,dense", layers=2), "query")
    for head in (0, 3):
        M_TS = analysis.mixing_matrix(of, TOKENS, layer=1, head=head)
        want_TS = np.where(AHEAD_TS, 0, 1 / (1 + np.arange(LENGTH))[:, None])
        np.testing.assert_allclose(M_TS, want_TS, atol=1e-6)


def test_the_matrix_of_a_diagonal_recurrence_is_the_products_of_its_decays():
    """Of h_t = a_t h_{t-1} + b_t: a_{s+1} ... a_t."""
    a_TN = np.random.default_rng(0).uniform(0.5, 1, (LENGTH, 2)).astype(np.float32)

    @jax.tree_util.register_static
    class Mixer:
        causal = True

        def __call__(self, x_BTD):
            return recurrence.diagonal_recurrence(jnp.asarray(a_TN)[None], 2 * x_BTD)

    M_HTS = mixing.closed(Named("made", Mixer()), jnp.ones((LENGTH, 2)))  # type: ignore
    for t in range(LENGTH):
        for s in range(t + 1):
            want_N = np.prod(a_TN[s + 1 : t + 1], axis=0)
            np.testing.assert_allclose(M_HTS[:, t, s], want_N, rtol=1e-5)


def test_the_jacobian_of_a_linear_mixer_is_its_matrix():
    """Without queries, attention with a bias weighs by the distance alone: every block
    of the Jacobian is the weight times one matrix."""
    of = with_zeros(restored("dense(heads=1,positions=t5)"), "query")
    closed_TS = analysis.mixing_matrix(of, TOKENS, layer=0)
    jacobian_TS = analysis.mixing_matrix(of, TOKENS, layer=0, form="jacobian")
    heads = open_model(of).layers[0][0].mixer.heads
    product_DD = heads.value.kernel.get_value() @ heads.out.kernel.get_value()
    scale = float(jnp.linalg.norm(product_DD))
    assert np.ptp(closed_TS[-1]) > 0.05
    np.testing.assert_allclose(jacobian_TS, closed_TS * scale, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_a_head_is_one_of_all_and_a_place_counts_the_mixers_of_a_layer():
    of = restored("window(window=2)|linear+gla")
    xs = mixer_inputs(of, TOKENS)[0]
    layer = open_model(of).layers[0]
    assert [named.name for named in layer] == ["window", "linear", "gla"]
    np.testing.assert_array_equal(xs[0], xs[1])
    assert not np.array_equal(xs[1], xs[2])
    M_TS = analysis.mixing_matrix(of, TOKENS, layer=0, head=1, place=2)
    np.testing.assert_array_equal(M_TS, mixing.closed(layer[2], xs[2])[1])


@pytest.mark.slow
@pytest.mark.parametrize("scan", [False, True])
def test_what_is_given_to_the_mixers_adds_up_to_the_model(scan):
    """Without MLPs the stream is the embedding and what every mixer makes of its own
    input."""
    of = restored("conv+dense", layers=2, scan=scan, stem="conv")
    xs = mixer_inputs(of, TOKENS)
    found = open_model(of)
    x_1TD = found.trunk.embedded(check_inputs(found, TOKENS))
    assert [len(layer) for layer in xs] == [1, 2, 2]
    for layer, inputs in zip(found.layers, xs, strict=True):
        for named, x_TD in zip(layer, inputs, strict=True):
            x_1TD = x_1TD + named.mixer(x_TD[None])
    want_1TV = of.model.apply(of.params, TOKENS[None])
    got_1TV = found.module.head(
        found.trunk.norm(x_1TD), found.trunk.frontend.table.get_value()
    )
    np.testing.assert_allclose(got_1TV, want_1TV, rtol=1e-4, atol=1e-4)


def test_names_cost_nothing():
    """The compiled program does not know that an op has named its values."""
    a_BTN = jnp.ones((1, 4, 2))
    plain = recurrence.diagonal_recurrence.__wrapped__  # type: ignore
    texts = [
        jax.jit(op).lower(a_BTN, a_BTN).as_text()
        for op in (recurrence.diagonal_recurrence, plain)
    ]
    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"layer": 1}, "The layer is 1; it must be 0"),
        ({"layer": -1}, "The layer is -1; it must be 0"),
        ({"layer": 0, "head": 4}, "The head is 4; it must be 0 to 3 .dense of layer"),
        ({"layer": 0, "place": 1}, "The place is 1; it must be 0"),
        ({"layer": 0, "head": 1, "form": "jacobian"}, "The head is 1; it must be 0"),
    ],
)
def test_a_part_that_does_not_exist_is_refused(change, words):
    with pytest.raises(BadInput, match=words):
        analysis.mixing_matrix(restored("dense"), TOKENS, **change)


def test_inputs_that_do_not_fit_are_refused(monkeypatch):
    of = restored("dense", positions="learned")
    for inputs, words in (
        (TOKENS + 8, "from 9 to 23; they must be whole numbers from 0 to 15"),
        (TOKENS * 1.0, "float64"),
        (TOKENS[:0], "shape"),
        (np.tile(TOKENS, (2, 1)), "2 sequences are given; there must be one"),
        (np.tile(TOKENS, 2), "18 positions; it must have at most the 9 learned"),
    ):
        with pytest.raises(BadInput, match=words):
            analysis.mixing_matrix(of, inputs, layer=0)
    with pytest.raises(BadInput, match="has the byte 84 at 0; .* it must be 0 to 15"):
        analysis.tokens(of, "Text")
    np.testing.assert_array_equal(analysis.tokens(of, "\x01\x0f"), [1, 15])
    monkeypatch.setattr(mixing, "NUMBERS", 2 * LENGTH**2)
    named, x_TD = mixing.chosen(of, TOKENS, 0)
    assert len(mixing.closed(named, x_TD, [0, 1])) == 2
    with pytest.raises(
        BadInput, match="4 matrices of 9 x 9 are 324 numbers; they must be at most 162"
    ):
        mixing.closed(named, x_TD)


def test_a_model_of_two_sequences_is_refused():
    of = restored("dense")
    sizes = Sizes("tokens", VOCABULARY, VOCABULARY, LENGTH, True, False, "tokens", 5, 4)
    model = build(of.config.model, sizes)
    zeros = jax.tree.map(
        lambda leaf: jnp.zeros(leaf.shape, leaf.dtype),
        jax.eval_shape(model.init, jax.random.key(0)),
    )
    with pytest.raises(BadInput, match="reads one sequence and writes another"):
        open_model(of._replace(model=model, params=zeros))
