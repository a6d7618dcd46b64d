"""What is particular to the attention mixers, beyond the laws of every mixer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attn_research.modules import MIXERS
from attn_research.modules.attention_kinds import DenseOptions, WindowOptions
from attn_research.options import BadInput

X_BTD = np.random.default_rng(0).standard_normal((2, 11, 8), np.float32)


def build(name, causal=True, width=8, length=11, **options):
    mixer = MIXERS[name]
    return mixer(
        mixer.Options(**options),
        width=width,
        causal=causal,
        length=length,
        rngs=nnx.Rngs(0),
    )


def error(got, want) -> float:
    return float(np.linalg.norm(np.subtract(got, want)) / np.linalg.norm(want))


def test_without_positions_a_bidirectional_one_follows_a_permutation():
    order = np.random.default_rng(1).permutation(11)
    mixer = jax.jit(build("dense", causal=False))
    assert error(mixer(X_BTD[:, order]), np.asarray(mixer(X_BTD))[:, order]) <= 1e-6


@pytest.mark.parametrize("positions", ["learned", "rope"])
def test_positions_tell_the_order(positions):
    mixer = jax.jit(build("dense", causal=False, heads=2, positions=positions))
    turned_BTD = np.asarray(mixer(X_BTD[:, ::-1]))[:, ::-1]
    assert error(turned_BTD, mixer(X_BTD)) > 1e-4


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("span", [11, pytest.param(64, marks=pytest.mark.slow)])
def test_a_window_as_long_as_the_sequence_is_dense(span, causal):
    ids = np.array([[1] * 11, [1] * 6 + [0] + [2] * 4], np.int32)
    pulled = []
    for name, more in (("dense", {}), ("window", {"window": span})):
        built = build(name, causal, heads=2, groups=1, positions="rope", **more)

        @jax.jit
        def pull(x_BTD, built=built):
            y_BTD, back = jax.vjp(lambda x_BTD: built(x_BTD, ids), x_BTD)
            return y_BTD, *back(x_BTD)

        pulled.append(pull(X_BTD))
    for one, two in zip(*pulled, strict=True):
        assert error(one, two) <= 2e-6


def test_decoding_past_the_window_needs_no_more_memory():
    mixer = build("window", window=4, heads=2, positions="rope")
    carry = mixer.start(2, 11)
    assert carry.k_BSGK.shape == (2, 4, 2, 4)
    step = jax.jit(mixer.step)
    for t in range(11):
        y_BD, carry = step(X_BTD[:, t], carry)
    assert error(y_BD, np.asarray(jax.jit(mixer)(X_BTD))[:, -1]) <= 2e-6


def decoded(mixer, tokens: int, length: int) -> np.ndarray:
    """Which outputs of `tokens` steps are NaN: each as a whole, or not at all."""
    carry, step, ys = mixer.start(2, length), jax.jit(mixer.step), []
    for t in range(tokens):
        y_BD, carry = step(X_BTD[:, t % 11], carry)
        ys.append(y_BD)
    poisoned = np.isnan(ys)
    assert (poisoned.all(axis=(1, 2)) | ~poisoned.any(axis=(1, 2))).all()
    return poisoned.any(axis=(1, 2))


@pytest.mark.parametrize(
    "name, options, length, last",
    [
        ("dense", {}, 5, 5),
        ("dense", {"positions": "learned"}, 11, 11),
        ("window", {"window": 8}, 5, 5),
        ("window", {"window": 4}, 5, 14),
        ("window", {"window": 4, "positions": "learned"}, 5, 11),
    ],
)
def test_decoding_past_what_is_remembered_gives_nan(name, options, length, last):
    poisoned = decoded(build(name, **options), 14, length)
    np.testing.assert_array_equal(poisoned, np.arange(14) >= last)


def test_the_cache_keeps_the_dtype_it_was_started_with():
    mixer = build("dense")
    carry = mixer.start(2, 5, jnp.bfloat16)
    assert carry.k_BSGK.dtype == carry.v_BSGK.dtype == jnp.bfloat16
    x_BD = jax.ShapeDtypeStruct((2, 8), jnp.bfloat16)
    y_BD, after = jax.eval_shape(mixer.step, x_BD, carry)
    assert y_BD.dtype == after.k_BSGK.dtype == jnp.bfloat16


@pytest.mark.parametrize("name", ["dense", "window"])
def test_cost_counts_what_is_computed(name):
    full = build(
        name, causal=False, heads=2, **({"window": 11} if name == "window" else {})
    )
    # Four projections of 8 x 8 for 11 tokens, two products over all pairs.
    assert full.cost(11).flops == 2 * 11 * 4 * 64 + 2 * 2 * 11 * 11 * 8
    assert full.cost(11).state_bytes == 0


@pytest.mark.parametrize(
    "wrong, sentence",
    [
        ({"heads": 3}, "width 8 and 3 heads; the number of heads must"),
        ({"heads": 4, "groups": 3}, "4 heads in 3 groups; the number of groups must"),
        ({"heads": 8, "positions": "rope"}, "head_size is 1, it must be even"),
    ],
)
@pytest.mark.parametrize("name", ["dense", "window"])
def test_sizes_that_do_not_fit_are_refused(name, wrong, sentence):
    with pytest.raises(BadInput, match=sentence):
        build(name, **wrong)


@pytest.mark.parametrize("name", ["dense", "window"])
def test_learned_positions_refuse_a_longer_sequence(name):
    short = build(name, length=10, positions="learned")
    with pytest.raises(BadInput, match="11 tokens"):
        short(X_BTD)
    with pytest.raises(BadInput, match="11 tokens"):
        short.start(1, 11)


def test_options_are_frozen_and_hashable():
    assert hash(DenseOptions()) == hash(DenseOptions())
    assert WindowOptions(window=3) != WindowOptions(window=4)


@pytest.mark.parametrize("gate", ["head", "channel"])
def test_gates_multiply_what_each_head_reads(gate):
    """From the formula, in float64: W_o (softmax(q k / sqrt(K)) v * sigmoid(x W_g))."""
    mixer = build("dense", heads=2, groups=1, gate=gate)
    kernels = {
        name: np.asarray(getattr(mixer.heads, name).kernel.get_value(), float)
        for name in ("query", "key", "value", "out", "gate")
    }
    x_TD = np.asarray(X_BTD[0], float)
    time, width, size = 11, 8, 4
    read_THK = np.zeros((time, 2, size))
    for head in range(2):
        q_TK = (x_TD @ kernels["query"])[:, head * size : (head + 1) * size]
        scores_TT = q_TK @ (x_TD @ kernels["key"]).T / np.sqrt(size)
        scores_TT[np.triu_indices(time, 1)] = -np.inf
        weights_TT = np.exp(scores_TT - scores_TT.max(axis=1, keepdims=True))
        weights_TT /= weights_TT.sum(axis=1, keepdims=True)
        read_THK[:, head] = weights_TT @ (x_TD @ kernels["value"])
    gates = 1 / (1 + np.exp(-(x_TD @ kernels["gate"])))
    read_THK *= gates.reshape(time, 2, -1)
    want_TD = read_THK.reshape(time, width) @ kernels["out"]
    assert error(mixer(X_BTD)[0], want_TD) <= 1e-6
    with pytest.raises(BadInput, match="must be one of|gate"):
        build("dense", gate="value")


def test_forget_gates_weigh_what_each_head_reads():
    """From the formula, in float64: scores get the sums of log sigmoid(x W_f + b)."""
    mixer = build("dense", heads=2, groups=1, forget=True)
    assert not np.asarray(mixer.heads.forget.bias.get_value()).any()
    mixer.heads.forget.bias.set_value(jnp.asarray([1.0, -0.5]))
    kernels = {
        name: np.asarray(getattr(mixer.heads, name).kernel.get_value(), float)
        for name in ("query", "key", "value", "out", "forget")
    }
    x_TD = np.asarray(X_BTD[0], float)
    gate_TH = x_TD @ kernels["forget"] + np.array([1.0, -0.5])
    read_THK = np.zeros((11, 2, 4))
    for t, head in np.ndindex(11, 2):
        q_K = (x_TD @ kernels["query"])[t, 4 * head : 4 * head + 4]
        score = (x_TD[: t + 1] @ kernels["key"]) @ q_K / 2
        for s in range(t):
            score[s] -= np.logaddexp(0, -gate_TH[s + 1 : t + 1, head]).sum()
        weight = np.exp(score - score.max())
        read_THK[t, head] = weight @ (x_TD[: t + 1] @ kernels["value"]) / weight.sum()
    want_TD = read_THK.reshape(11, 8) @ kernels["out"]
    assert error(mixer(X_BTD)[0], want_TD) <= 1e-6


def test_a_cache_with_forget_gates_holds_one_sum_more_for_each_key_and_head():
    plain, forgets = (
        build("window", window=4, heads=2, groups=1, forget=forget)
        for forget in (False, True)
    )
    more = forgets.cost(11).state_bytes - plain.cost(11).state_bytes
    assert more == 4 * 2 * 4
    assert plain.start(2, 11).fade_BSH is None
    assert forgets.start(2, 11, jnp.bfloat16).fade_BSH.dtype == jnp.float32


@pytest.mark.parametrize("name", ["bigbird", "topk", "moba"])
def test_attention_that_hides_tokens_refuses_forget_gates(name):
    with pytest.raises(BadInput, match="forget must be false, or the mixer dense or"):
        build(name, forget=True)
