"""Models: heads, positions, dropout and types around any mixers."""

import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_research.config import Model
from attn_research.modules import trunk
from attn_research.modules.models import Sizes, build
from attn_research.options import BadInput
from tests.parameters import drawn

TOKENS = Sizes("tokens", 11, 11, 12, causal=True)
VALUES = Sizes("values", 2, 1, 12, causal=True)
POOLED = Sizes("tokens", 11, 3, 12, causal=False, per_sequence=True)
# One cheap layer: what is tested here is around the mixers.
SMALL = Model(pattern="conv", layers=1, width=8, mlp="gelu", mlp_ratio=1.0)
DENSE = "dense(heads=2,implementation=naive)"
FAMILIES = ["dense", "window", "linear", "lstm", "diagonal", "conv", "dilated"]


def tokens(batch: int = 2, time: int = 12) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 11, (batch, time), np.int32)


@functools.cache
def built(model: Model = SMALL, sizes: Sizes = TOKENS):
    """The model, compiled, and its parameters."""
    functional = build(model, sizes)
    params = drawn(functional, deviation=0.3)
    apply = jax.jit(functional.apply, static_argnames="method")
    return functional._replace(apply=apply), params


def close(one, other, tolerance=2e-5):
    np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def apart(one, other) -> float:
    return np.abs(np.subtract(one, other)).max()


def leaves(params) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(params))


# --- tokens ---------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [TOKENS, POOLED], ids=["LM", "Encoder"])
@pytest.mark.parametrize("wrong", [11, -1, 2**31 - 1, 2**40])
def test_a_token_outside_the_vocabulary_is_refused(sizes, wrong):
    model, (_, params) = build(SMALL, sizes), built(SMALL, sizes)
    tokens_BT = tokens().astype(np.int64)
    tokens_BT[1, 3] = wrong
    message = f"hold {wrong}; they must be from 0 to 10"
    with pytest.raises(BadInput, match=message):
        model.apply(params, tokens_BT)
    # At padding any number may stand, and changes nothing.
    segments_BT = np.ones(tokens_BT.shape, np.int32)
    segments_BT[1, 3:] = 0
    padded = model.apply(params, tokens_BT, segments_BT)
    tokens_BT[1, 3] = 0
    np.testing.assert_array_equal(padded, model.apply(params, tokens_BT, segments_BT))
    assert np.isfinite(padded).all()


@pytest.mark.parametrize("wrong", [11, -1, -11, 2**31 - 1])
def test_a_compiled_program_gives_nan_for_a_token_outside_the_vocabulary(wrong):
    model, params = built()
    tokens_BT = tokens()
    tokens_BT[1, 3] = wrong
    logits_BTV = np.asarray(model.apply(params, tokens_BT))
    assert np.isnan(logits_BTV[1, 3]).all()
    assert np.isfinite(logits_BTV[0]).all() and np.isfinite(logits_BTV[1, :3]).all()


def test_tokens_may_have_any_type_of_whole_numbers():
    model, (_, params) = build(SMALL, TOKENS), built()
    want = model.apply(params, tokens())
    for dtype in (np.uint8, np.int16, np.uint32, np.int64):
        np.testing.assert_array_equal(model.apply(params, tokens().astype(dtype)), want)
    with pytest.raises(BadInput, match="are float32; they must be whole numbers"):
        model.apply(params, tokens().astype(np.float32))


def test_a_decoding_step_refuses_a_token_outside_the_vocabulary():
    model, (_, params) = build(SMALL, TOKENS), built()
    module = model.bind(params)
    with pytest.raises(BadInput, match="hold 11; they must be from 0 to 10"):
        module.step(np.array([3, 11]), module.start(2, 12))


@pytest.mark.parametrize("pool", ["mean", "max", "last", "all"])
@pytest.mark.parametrize("fill", [np.nan, np.inf])
def test_values_at_padding_may_be_anything(pool, fill):
    sizes = Sizes("values", 1, 3, 12, causal=False, per_sequence=True)
    segments_BT = np.ones((2, 12), np.int32)
    segments_BT[0, 8:] = 0
    values_BTF = np.random.default_rng(0).standard_normal((2, 12, 1), np.float32)
    spoiled_BTF = np.where(segments_BT[..., None] == 0, np.float32(fill), values_BTF)
    for rescale in (False, True):
        model, params = built(replace(SMALL, pool=pool, rescale=rescale), sizes)

        @jax.jit
        def pulled(params, values_BTF, model=model):
            return jax.value_and_grad(
                lambda params: model.apply(params, values_BTF, segments_BT).sum()
            )(params)

        clean, spoiled = pulled(params, values_BTF), pulled(params, spoiled_BTF)
        jax.tree.map(np.testing.assert_array_equal, spoiled, clean)


# --- heads ---------------------------------------------------------------------------


@pytest.mark.parametrize("tied", [True, False])
def test_logits_at_some_positions_are_those_of_the_whole_head(tied):
    model, params = built(replace(SMALL, tied=tied))
    index_BL = np.array([[3, 0, 11], [5, 5, 2]])
    whole_BTV = np.asarray(model.apply(params, tokens()))
    some_BLV = model.apply(params, tokens(), index_BL, method="at")
    close(some_BLV, np.take_along_axis(whole_BTV, index_BL[:, :, None], axis=1))
    assert whole_BTV.dtype == jnp.float32


def test_a_tied_head_is_the_table_of_tokens():
    _, tied = built(replace(SMALL, tied=True))
    _, untied = built(replace(SMALL, tied=False))
    assert not tied.get("head")
    assert leaves(untied) - leaves(tied) == 8 * 11 + 11
    model, params = built(replace(SMALL, tied=True))
    table_VD = params["trunk"]["frontend"]["table"]
    emptied = jax.tree.map(lambda leaf: leaf, params)
    emptied["trunk"]["frontend"]["table"] = np.where(np.eye(11, 1, -4), 0, table_VD)
    logits_BTV = np.asarray(model.apply(emptied, tokens()))
    np.testing.assert_array_equal(logits_BTV[..., 4], 0)
    assert logits_BTV[..., 3].any()


def test_a_head_of_other_outputs_is_never_tied():
    for sizes, inputs, outputs in (
        (TOKENS._replace(outputs=5), tokens(), 5),
        (VALUES, np.ones((2, 12, 2), np.float32), 1),
    ):
        model, params = built(sizes=sizes)
        found = jax.eval_shape(model.apply, params, inputs)
        assert found.shape == (2, 12, outputs)


# --- step by step --------------------------------------------------------------------


@pytest.mark.parametrize(
    "positions, spread",
    [
        pytest.param("none", 0, marks=pytest.mark.slow),
        ("learned", 0),
        pytest.param("sinusoid", 0, marks=pytest.mark.slow),
        ("learned", 30),
    ],
)
def test_one_token_at_a_time_gives_what_the_whole_sequence_gives(positions, spread):
    # A mixer of each family in one stack, and with positions the cheapest one.
    names = FAMILIES if positions == "none" else ["conv"]
    changes = {"pattern": ",".join(names), "layers": len(names), "mlp": "none"}
    changes |= {"positions": positions, "spread": spread}
    model, params = built(replace(SMALL, **changes))
    whole_BTV = model.apply(params, tokens())

    @jax.jit
    def decode(params, tokens_BT):
        module = model.bind(params)
        carry = module.start(tokens_BT.shape[0], tokens_BT.shape[1])

        def step(carry, token_B):
            logits_BV, carry = module.step(token_B, carry)
            return carry, logits_BV

        return jax.lax.scan(step, carry, tokens_BT.T)[1]

    close(decode(params, tokens()).swapaxes(0, 1), whole_BTV)


# --- segments and positions ----------------------------------------------------------


@pytest.mark.parametrize(
    "positions",
    [
        "learned",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("none", "sinusoid")),
    ],
)
def test_a_packed_sequence_gives_what_it_gives_alone(positions):
    model, params = built(replace(SMALL, positions=positions))
    packed_1T = tokens(1)
    segments_1T = np.array([[1] * 5 + [2] * 4 + [0] * 3])
    logits_1TV = model.apply(params, packed_1T, segments_1T)
    close(logits_1TV[:, :5], model.apply(params, packed_1T[:, :5]))
    close(logits_1TV[:, 5:9], model.apply(params, packed_1T[:, 5:9]))


@pytest.mark.parametrize("positions", ["learned", "sinusoid"])
def test_positions_tell_places_apart(positions):
    same_1T = np.ones((1, 12), np.int32)
    attending = replace(SMALL, pattern=DENSE, mlp="none")
    without, params = built(attending)
    rows_TV = np.asarray(without.apply(params, same_1T))[0]
    close(rows_TV, np.broadcast_to(rows_TV[:1], rows_TV.shape))
    placed, params = built(replace(attending, positions=positions))
    rows_TV = np.asarray(placed.apply(params, same_1T))[0]
    assert np.abs(rows_TV[1:] - rows_TV[:-1]).max(axis=1).min() > 1e-4


def test_a_sequence_longer_than_the_learned_table_is_refused():
    model, params = built(replace(SMALL, positions="learned"))
    with pytest.raises(BadInput, match="13 positions; it must have at most the 12"):
        model.apply(params, tokens(time=13))


def test_randomised_positions_rise_anew_under_every_key():
    counted, params = built(replace(SMALL, positions="learned"))
    key, other = jax.random.key(0), jax.random.key(1)
    # Of as many positions as tokens there is but one choice.
    all_of_them, _ = built(replace(SMALL, positions="learned", spread=12))
    close(
        all_of_them.apply(params, tokens(), None, key), counted.apply(params, tokens())
    )
    spread, params = built(replace(SMALL, positions="learned", spread=30))
    one, two = (spread.apply(params, tokens(), None, k) for k in (key, other))
    assert apart(one, two) > 1e-4
    longer = jax.eval_shape(spread.apply, params, tokens(time=30))
    assert longer.shape[1] == 30  # built for 12
    with pytest.raises(BadInput, match="it must have at most the 30 positions"):
        spread.apply(params, tokens(time=31))
    with pytest.raises(BadInput, match="spread is 30 and model.positions is none"):
        built(replace(SMALL, spread=30))


# --- the encoder ---------------------------------------------------------------------


def test_an_encoder_ignores_padding_in_value_and_gradient():
    model, params = built(sizes=POOLED)
    segments_BT = np.array([[1] * 7 + [0] * 5, [1] * 12], np.int32)
    one_BT, other_BT = tokens(), tokens()
    other_BT[0, 7:] = (one_BT[0, 7:] + 1) % 11

    @jax.jit
    def told(params, tokens_BT):
        return jax.value_and_grad(
            lambda p: jnp.sum(model.apply(p, tokens_BT, segments_BT) ** 2)
        )(params)

    value, grads = told(params, one_BT)
    again, same = told(params, other_BT)
    close(value, again)
    jax.tree.map(close, grads, same)
    alone_BV = model.apply(params, one_BT[:1, :7])
    close(model.apply(params, one_BT, segments_BT)[:1], alone_BV)


def test_a_row_of_padding_only_is_finite():
    model, params = built(sizes=POOLED)
    outputs_BV = model.apply(params, tokens(), np.zeros((2, 12), np.int32))
    assert outputs_BV.shape == (2, 3) and np.isfinite(outputs_BV).all()


# --- training options ----------------------------------------------------------------


def test_rematerialisation_changes_no_value():
    plain, params = built()
    remat, _ = built(replace(SMALL, remat=True))

    def pulled(model):
        def loss(params):
            outputs_BTV = model.apply(params, tokens())
            return jnp.sum(outputs_BTV**2), outputs_BTV

        return jax.jit(jax.grad(loss, has_aux=True))(params)

    jax.tree.map(close, pulled(plain), pulled(remat))


def test_dropout_needs_a_key_and_keeps_the_mean():
    model, params = built(replace(SMALL, dropout=0.3, embed_dropout=0.2))
    without, _ = built()
    close(model.apply(params, tokens()), without.apply(params, tokens()))
    first, second, again = (
        model.apply(params, tokens(), None, jax.random.key(seed)) for seed in (1, 2, 1)
    )
    assert apart(first, second) > 0.01
    np.testing.assert_array_equal(first, again)


def test_the_input_is_dropped_at_its_rate(monkeypatch):
    """The rates that reach the masks, and the share of inputs that they remove."""
    seen = []

    def noted(x, rate, key):
        y = dropout(x, rate, key)
        seen.append((rate, 0.0 if key is None else jnp.mean(y == 0)))
        return y

    dropout = trunk.dropout
    monkeypatch.setattr(trunk, "dropout", noted)
    model = build(replace(SMALL, mlp="none", width=64, embed_dropout=0.25), TOKENS)

    @jax.jit
    def shares(params, key):
        model.apply(params, tokens(8), None, key)
        return [share for _, share in seen]

    (share,) = shares(drawn(model), jax.random.key(1))
    ((rate, _),) = seen
    assert rate == 0.25 and abs(share - 0.25) < 0.03


def test_bfloat16_computes_in_it_and_keeps_float32_parameters():
    model, params = built(replace(SMALL, dtype="bfloat16"))
    exact, _ = built()
    assert {leaf.dtype.name for leaf in jax.tree.leaves(params)} == {"float32"}
    logits_BTV, wanted_BTV = (
        np.asarray(m.apply(params, tokens())) for m in (model, exact)
    )
    assert logits_BTV.dtype == np.float32
    error = np.linalg.norm(logits_BTV - wanted_BTV) / np.linalg.norm(wanted_BTV)
    assert 1e-5 < error < 0.03  # it did compute in bfloat16, and well
    grads = jax.eval_shape(
        jax.grad(lambda p: jnp.sum(model.apply(p, tokens()))), params
    )
    assert {leaf.dtype.name for leaf in jax.tree.leaves(grads)} == {"float32"}
