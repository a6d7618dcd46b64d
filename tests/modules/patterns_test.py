"""Models: what they cost, and the patterns that they are built from."""

from dataclasses import replace

import jax
import pytest
from flax import nnx

from attn_research.modules import pattern
from attn_research.modules.contract import carry_bytes
from attn_research.modules.models import LM, build, cost
from attn_research.modules.pattern import brief, resolve
from attn_research.options import BadInput
from tests.modules.models_test import FAMILIES, POOLED, SMALL, TOKENS, VALUES, leaves

EVERY = ",".join(FAMILIES)


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
