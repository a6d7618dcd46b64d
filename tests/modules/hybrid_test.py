"""Mixers side by side, stems, and layers run as one loop."""

import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attn_research.config import Model
from attn_research.modules import pattern
from attn_research.modules.attention import Attention
from attn_research.modules.contract import parameters
from attn_research.modules.models import Sizes, build, cost
from attn_research.modules.trunk import Trunk
from attn_research.ops.norm import rms_norm
from attn_research.options import BadInput
from attn_research.testing.laws import LAWS
from attn_research.testing.laws.case import Case
from tests.parameters import drawn

D, T = 8, 12
SIZES = Sizes("tokens", 11, 11, T, causal=True)
SMALL = Model(pattern="conv,linear(heads=2)", layers=4, width=D, mlp="gelu")


def side_by_side(options, **sizes):
    """A mixer of two, as the laws build one."""
    return pattern.mixer(pattern.layers("conv|dense(heads=2)")[0][0], **sizes)


SIDE_BY_SIDE = Case(side_by_side, None, True, "conv|dense")


@pytest.mark.parametrize("law", ["padding", "packing", "step", "cost", "causality"])
def test_mixers_side_by_side_obey_the_laws(law):
    LAWS[law](SIDE_BY_SIDE)


def test_mixers_side_by_side_are_the_mean_of_their_normalised_outputs():
    both = SIDE_BY_SIDE.build()

    @jax.jit
    def told(x_BTD):
        one, two = (mixer(x_BTD) for mixer in both.mixers)
        ones_D = jnp.ones(D)
        want_BTD = (rms_norm(one, ones_D) + rms_norm(two, ones_D)) / 2
        return both(x_BTD), want_BTD

    x_BTD = np.random.default_rng(0).standard_normal((2, T, D), np.float32)
    np.testing.assert_allclose(*told(x_BTD), rtol=1e-5, atol=1e-6)
    assert both.reach(T) == T


def shaped(model: Model) -> Trunk:
    """A trunk of shapes alone."""
    return nnx.eval_shape(lambda: Trunk(model, SIZES, rngs=nnx.Rngs(0)))


def kind(mixer) -> str:
    return mixer.kind.name if isinstance(mixer, Attention) else type(mixer).__name__


def test_a_stem_stands_below_the_pattern_once():
    trunk = shaped(replace(SMALL, stem="lstm", layers=3))
    kinds = [kind(block.mixers[0]) for block in trunk.blocks()]
    assert kinds[1:] == ["Conv", "Linear", "Conv"] and kinds[0] not in kinds[1:]


# What papers name, as fields and patterns: the mixers of each layer, and its MLPs.
PUBLISHED = {
    # Gulati et al., 2020, arXiv:2005.08100
    "Conformer": (
        Model(pattern="dense(heads=2)+conv(width=3)", mlp="gelu", macaron=True),
        [["dense", "Conv"]] * 2,
        2,
    ),
    # De et al., 2024, arXiv:2402.19427
    "Griffin": (
        Model(pattern="rglru,rglru,window(heads=2)", layers=3, mlp="gelu", norm="rms"),
        [["Diagonal"], ["Diagonal"], ["window"]],
        1,
    ),
    # Dong et al., 2024, arXiv:2411.13676
    "Hymba": (Model(pattern="window(heads=2)|mamba"), [["Parallel"]] * 2, 0),
    "convolutional stem": (
        Model(pattern="dense(heads=2)", stem="conv,conv", layers=1),
        [["Conv"], ["Conv"], ["dense"]],
        0,
    ),
    "recurrence below": (
        Model(pattern="dense(heads=2)", stem="lstm"),
        [["Recurrent"], ["dense"], ["dense"]],
        0,
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_papers_name_is_a_pattern_and_fields(name):
    model, want, mlps = PUBLISHED[name]
    trunk = shaped(replace(model, width=D))
    blocks = list(trunk.blocks())
    assert [[kind(m) for m in block.mixers] for block in blocks] == want
    assert [len(block.mlps) for block in blocks] == [mlps] * len(want)
    apply = build(replace(model, width=D), SIZES)
    tokens_BT = jnp.zeros((2, T), jnp.int32)
    params = jax.eval_shape(apply.init, jax.random.key(0))
    assert jax.eval_shape(apply.apply, params, tokens_BT).shape == (2, T, 11)


@functools.cache
def looped(pattern: str = "conv,conv(width=3)"):
    """A model in a loop over its repeats, and the same one unrolled."""
    small = replace(SMALL, pattern=pattern, stem="conv")
    model = build(replace(small, scan=True), SIZES)
    params = drawn(model, deviation=0.3)
    groups = params["trunk"]["groups"]
    blocks = {"0": groups["0"]["blocks"]["0"]}
    for repeat in range(2):
        for place in range(2):
            stacked = groups["1"]["layers"]["blocks"][str(place)]
            one = jax.tree.map(lambda leaf, r=repeat: leaf[r], stacked)
            blocks[str(1 + 2 * repeat + place)] = one
    flat = {**params, "trunk": {**params["trunk"], "groups": {"0": {"blocks": blocks}}}}
    return model, params, build(small, SIZES), flat


@pytest.mark.parametrize(
    "pattern",
    ["conv,conv(width=3)", pytest.param(SMALL.pattern, marks=pytest.mark.slow)],
)
def test_a_loop_over_the_repeats_is_the_unrolled_model(pattern):
    model, params, unrolled, flat = looped(pattern)
    tokens_BT = np.random.default_rng(1).integers(0, 11, (2, T), np.int32)

    def loss(apply):
        return lambda params: jnp.sum(apply(params, tokens_BT) ** 2)

    got, got_grads = jax.jit(jax.value_and_grad(loss(model.apply)))(params)
    want, want_grads = jax.jit(jax.value_and_grad(loss(unrolled.apply)))(flat)
    np.testing.assert_allclose(got, want, rtol=1e-5)
    stacked = got_grads["trunk"]["groups"]["1"]["layers"]["blocks"]["1"]
    one = want_grads["trunk"]["groups"]["0"]["blocks"]["4"]
    for a, b in zip(jax.tree.leaves(stacked), jax.tree.leaves(one), strict=True):
        np.testing.assert_allclose(np.asarray(a)[1], b, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_a_loop_over_the_repeats_decodes_to_the_same():
    model, params, _, _ = looped(SMALL.pattern)
    tokens_BT = np.random.default_rng(1).integers(0, 11, (2, T), np.int32)

    @jax.jit
    def decode(params):
        module = model.bind(params)

        def step(carry, token_B):
            logits_BV, carry = module.step(token_B, carry)
            return carry, logits_BV

        return jax.lax.scan(step, module.start(2, T), tokens_BT.T)[1]

    whole_BTV = jax.jit(model.apply)(params, tokens_BT)
    np.testing.assert_allclose(decode(params).swapaxes(0, 1), whole_BTV, atol=2e-5)


def test_a_loop_costs_what_the_unrolled_model_costs():
    model = replace(SMALL, stem="conv")
    assert cost(replace(model, scan=True), SIZES) == cost(model, SIZES)
    trunk = shaped(replace(model, scan=True))
    assert trunk.cost(T).params == parameters(trunk)


def test_a_loop_keeps_what_parameters_were_declared_as():
    stacked = looped()[0].traits["trunk"]["groups"]["1"]["layers"]["blocks"]["0"]
    once = looped()[2].traits["trunk"]["groups"]["0"]["blocks"]["1"]
    assert stacked == once


def test_a_loop_over_part_of_a_pattern_is_refused():
    with pytest.raises(BadInput, match=r"2 layers; model.layers is 3, it must be"):
        build(replace(SMALL, scan=True, layers=3), SIZES)
