"""Models: heads, positions, dropout, types and costs around any mixers."""

import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attn_research.config import Model
from attn_research.modules import pattern, trunk
from attn_research.modules.contract import carry_bytes
from attn_research.modules.models import LM, Sizes, build, cost
from attn_research.modules.pattern import brief, resolve
from attn_research.options import BadInput

TOKENS = Sizes("tokens", 11, 11, 12, causal=True)
VALUES = Sizes("values", 2, 1, 12, causal=True)
POOLED = Sizes("tokens", 11, 3, 12, causal=False, per_sequence=True)
# One cheap layer: what is tested here is around the mixers.
SMALL = Model(pattern="conv", layers=1, width=8, mlp="gelu", mlp_ratio=1.0)
DENSE = "dense(heads=2,implementation=naive)"
FAMILIES = ["dense", "window", "linear", "lstm", "diagonal", "conv", "dilated"]
EVERY = ",".join(FAMILIES)


def tokens(batch: int = 2, time: int = 12, seed: int = 0) -> jax.Array:
    return jax.random.randint(jax.random.key(seed), (batch, time), 0, 11)


@functools.cache
def built(model: Model = SMALL, sizes: Sizes = TOKENS):
    """The model, compiled, and its parameters."""
    functional = build(model, sizes)
    params = jax.jit(functional.init)(jax.random.key(0))
    apply = jax.jit(functional.apply, static_argnames="method")
    return functional._replace(apply=apply), params


def close(one, other, tolerance=2e-5):
    np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


def leaves(params) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(params))


# --- heads ---------------------------------------------------------------------------


@pytest.mark.parametrize("tied", [True, False])
def test_logits_at_some_positions_are_those_of_the_whole_head(tied):
    model, params = built(replace(SMALL, tied=tied))
    index_BL = jnp.array([[3, 0, 11], [5, 5, 2]])
    whole_BTV = model.apply(params, tokens())
    some_BLV = model.apply(params, tokens(), index_BL, method="at")
    close(some_BLV, jnp.take_along_axis(whole_BTV, index_BL[:, :, None], axis=1))
    assert whole_BTV.dtype == jnp.float32


def test_a_tied_head_is_the_table_of_tokens():
    _, tied = built(replace(SMALL, tied=True))
    _, untied = built(replace(SMALL, tied=False))
    assert not tied.get("head")
    assert leaves(untied) - leaves(tied) == 8 * 11 + 11
    model, params = built(replace(SMALL, tied=True))
    table_VD = params["trunk"]["frontend"]["table"]
    doubled = jax.tree.map(lambda leaf: leaf, params)
    doubled["trunk"]["frontend"]["table"] = table_VD.at[4].set(0.0)
    logits_BTV = model.apply(doubled, jnp.zeros((1, 12), jnp.int32))
    np.testing.assert_array_equal(logits_BTV[..., 4], 0)


def test_a_head_of_other_outputs_is_never_tied():
    model, params = built(sizes=Sizes("tokens", 11, 5, 12, causal=True))
    assert model.apply(params, tokens()).shape == (2, 12, 5)
    model, params = built(sizes=VALUES)
    assert model.apply(params, jnp.ones((2, 12, 2))).shape == (2, 12, 1)


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


@pytest.mark.parametrize("positions", ["none", "learned", "sinusoid"])
def test_a_packed_sequence_gives_what_it_gives_alone(positions):
    model, params = built(replace(SMALL, positions=positions))
    packed_1T = tokens(1)
    segments_1T = jnp.array([[1] * 5 + [2] * 4 + [0] * 3])
    logits_1TV = model.apply(params, packed_1T, segments_1T)
    close(logits_1TV[:, :5], model.apply(params, packed_1T[:, :5]))
    close(logits_1TV[:, 5:9], model.apply(params, packed_1T[:, 5:9]))


@pytest.mark.parametrize("positions", ["learned", "sinusoid"])
def test_positions_tell_places_apart(positions):
    same_1T = jnp.ones((1, 12), jnp.int32)
    attending = replace(SMALL, pattern=DENSE, mlp="none")
    without, params = built(attending)
    rows_TV = without.apply(params, same_1T)[0]
    close(rows_TV, jnp.broadcast_to(rows_TV[:1], rows_TV.shape))
    placed, params = built(replace(attending, positions=positions))
    rows_TV = placed.apply(params, same_1T)[0]
    assert jnp.abs(rows_TV[1:] - rows_TV[:-1]).max(axis=1).min() > 1e-4


def test_a_sequence_longer_than_the_learned_table_is_refused():
    model, params = built(replace(SMALL, positions="learned"))
    with pytest.raises(BadInput, match="has 13 positions; the learned table has 12"):
        model.apply(params, tokens(time=13))


def test_randomised_positions_rise_anew_under_every_key():
    counted, params = built(replace(SMALL, positions="learned"))
    key, other = jax.random.split(jax.random.key(0))
    # Of as many positions as tokens there is but one choice.
    all_of_them, _ = built(replace(SMALL, positions="learned", spread=12))
    close(
        all_of_them.apply(params, tokens(), None, key), counted.apply(params, tokens())
    )
    drawn, params = built(replace(SMALL, positions="learned", spread=30))
    one, two = (drawn.apply(params, tokens(), None, k) for k in (key, other))
    assert jnp.abs(one - two).max() > 1e-4
    assert drawn.apply(params, tokens(time=30)).shape[1] == 30  # built for 12
    with pytest.raises(
        BadInput, match="31 positions; the positions are spread over 30"
    ):
        drawn.apply(params, tokens(time=31))
    with pytest.raises(BadInput, match="spread is 30 and model.positions is none"):
        built(replace(SMALL, spread=30))


# --- the encoder ---------------------------------------------------------------------


def test_an_encoder_ignores_padding_in_value_and_gradient():
    model, params = built(sizes=POOLED)
    segments_BT = jnp.array([[1] * 7 + [0] * 5, [1] * 12])
    one_BT = tokens()
    other_BT = one_BT.at[0, 7:].set((one_BT[0, 7:] + 1) % 11)

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
    outputs_BV = model.apply(params, tokens(), jnp.zeros((2, 12), jnp.int32))
    assert outputs_BV.shape == (2, 3) and jnp.isfinite(outputs_BV).all()


# --- training options ----------------------------------------------------------------


def test_rematerialisation_changes_no_value():
    plain, params = built()
    remat, _ = built(replace(SMALL, remat=True))

    def grads(model):
        return jax.jit(jax.grad(lambda p: jnp.sum(model.apply(p, tokens()) ** 2)))(
            params
        )

    close(plain.apply(params, tokens()), remat.apply(params, tokens()))
    jax.tree.map(close, grads(plain), grads(remat))


def test_dropout_needs_a_key_and_keeps_the_mean():
    model, params = built(replace(SMALL, dropout=0.3, embed_dropout=0.2))
    without, _ = built()
    close(model.apply(params, tokens()), without.apply(params, tokens()))
    keys_N = jax.random.split(jax.random.key(1), 2)
    first, second = (model.apply(params, tokens(), None, key) for key in keys_N)
    assert jnp.abs(first - second).max() > 0.01
    np.testing.assert_array_equal(first, model.apply(params, tokens(), None, keys_N[0]))


def test_the_input_is_dropped_at_its_rate(monkeypatch):
    """The rates that reach the masks, and the share of inputs that they remove."""
    seen = []

    def noted(x, rate, key):
        y = dropout(x, rate, key)
        seen.append((rate, float(jnp.mean(y == 0)) if key is not None else 0.0))
        return y

    dropout = trunk.dropout
    monkeypatch.setattr(trunk, "dropout", noted)
    model = replace(SMALL, pattern="conv", layers=1, mlp="none", width=64)
    eager = build(replace(model, embed_dropout=0.25), TOKENS)
    eager.apply(eager.init(jax.random.key(0)), tokens(8), None, jax.random.key(1))
    ((rate, share),) = seen
    assert rate == 0.25 and abs(share - 0.25) < 0.03


def test_bfloat16_computes_in_it_and_keeps_float32_parameters():
    model, params = built(replace(SMALL, dtype="bfloat16"))
    exact, _ = built()
    assert {leaf.dtype.name for leaf in jax.tree.leaves(params)} == {"float32"}
    logits_BTV, wanted_BTV = (m.apply(params, tokens()) for m in (model, exact))
    assert logits_BTV.dtype == jnp.float32
    error = jnp.sqrt(jnp.mean((logits_BTV - wanted_BTV) ** 2) / jnp.mean(wanted_BTV**2))
    assert 1e-5 < error < 0.03  # it did compute in bfloat16, and well
    grads = jax.eval_shape(
        jax.grad(lambda p: jnp.sum(model.apply(p, tokens()))), params
    )
    assert {leaf.dtype.name for leaf in jax.tree.leaves(grads)} == {"float32"}


# --- costs and patterns --------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "positions"),
    [(TOKENS, "learned"), (VALUES, "sinusoid"), (POOLED, "none")],
)
def test_the_cost_counts_the_real_parameters(sizes, positions):
    model = replace(SMALL, pattern=EVERY, layers=9, positions=positions, mlp="swiglu")
    abstract = jax.eval_shape(build(model, sizes).init, jax.random.key(0))
    assert cost(model, sizes).params == leaves(abstract)


def test_the_cost_counts_the_real_state_and_the_head():
    deep = replace(SMALL, pattern=EVERY, layers=len(FAMILIES))
    module = nnx.eval_shape(lambda: LM(deep, TOKENS, rngs=nnx.Rngs(0)))
    carry = jax.eval_shape(lambda: module.start(1, 12))
    found = cost(deep, TOKENS)
    assert found.state_bytes == carry_bytes(carry["layers"])
    more = cost(deep, TOKENS._replace(outputs=12))
    assert more.flops - found.flops == 2 * 8 * 12  # one output more at 12 positions


@pytest.mark.parametrize(
    "text",
    [
        EVERY,
        "conv(width=3),dense(heads=2,positions=rope)",
        'dilated(dilations="1,3")',
        "conv+dense|linear(heads=2),lstm",
    ],
)
def test_a_pattern_survives_being_written_out_and_shortened(text):
    assert brief(resolve(text)) == text
    assert resolve(brief(resolve(text))) == resolve(text)
    assert pattern.layers(resolve(text)) == pattern.layers(text)


def test_a_pattern_repeats_over_the_depth():
    model = build(replace(SMALL, pattern="conv,lstm", layers=5), TOKENS)
    params = jax.eval_shape(model.init, jax.random.key(0))
    blocks = params["trunk"]["groups"]["0"]["blocks"]
    mixers = [blocks[str(i)]["mixers"]["0"] for i in range(5)]
    kinds = [mixer["kernel"].shape == (4, 8) for mixer in mixers]  # that of conv
    assert kinds == [True, False, True, False, True]


@pytest.mark.parametrize(
    "text", ["danse", "dense(haeds=2)", "", "dense,,conv", "dense+", "|dense"]
)
def test_an_unknown_pattern_is_one_sentence(text):
    with pytest.raises(BadInput) as caught:
        resolve(text)
    assert "\n" not in str(caught.value)
