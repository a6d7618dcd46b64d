"""The block: residual branches, decoding, dropout, cost."""

from functools import partial
from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx
from scipy.special import erf

from attn_research.config import Model
from attn_research.modules.block import Block
from attn_research.modules.contract import parameters
from attn_research.modules.conv import Conv, ConvOptions
from attn_research.options import BadInput

D, T = 8, 6
KINDS = [("none", "layer"), ("gelu", "layer"), ("swiglu", "rms")]


def build(mlp: Any, norm: Any, rate: float = 0.0, mixers: int = 1, **form) -> Block:
    rngs = nnx.Rngs(0)
    model = Model(width=D, mlp=mlp, mlp_ratio=1.5, norm=norm, dropout=rate, **form)
    convs = [
        Conv(ConvOptions(), width=D, causal=True, length=T, rngs=rngs)
        for _ in range(mixers)
    ]
    return Block(convs, model, rngs=rngs)


def inputs() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((2, T, D), np.float32)


FORMS = {
    "pre": {},
    "post": {"norm_at": "post"},
    "parallel": {"residual": "parallel"},
    "macaron": {"macaron": True},
}


def formula(block: Block, form: str, x_BTD, segments_BT):
    """The layer written out."""
    n, m, f = block.norms, block.mixers, block.mlps

    def mix(i, z_BTD):
        return m[i](z_BTD, segments_BT)

    if form == "parallel":
        z_BTD = n[0](x_BTD)
        return x_BTD + mix(0, z_BTD) + mix(1, z_BTD) + f[0](z_BTD)
    if form == "post":
        x_BTD = n[0](x_BTD + mix(0, x_BTD))
        x_BTD = n[1](x_BTD + mix(1, x_BTD))
        return n[2](x_BTD + f[0](x_BTD))
    if form == "macaron":
        x_BTD = x_BTD + 0.5 * f[0](n[0](x_BTD))
        x_BTD = x_BTD + mix(0, n[1](x_BTD))
        x_BTD = x_BTD + mix(1, n[2](x_BTD))
        return x_BTD + 0.5 * f[1](n[3](x_BTD))
    x_BTD = x_BTD + mix(0, n[0](x_BTD))
    x_BTD = x_BTD + mix(1, n[1](x_BTD))
    return x_BTD + f[0](n[2](x_BTD))


@pytest.mark.parametrize("form", FORMS)
def test_the_layer_is_its_formula_and_decodes_to_it(form):
    block, x_BTD = build("gelu", "layer", mixers=2, **FORMS[form]), inputs()
    segments_BT = np.array([[1, 1, 2, 2, 0, 0]] * 2)
    written = jax.jit(partial(formula, block, form))
    got_BTD = jax.jit(block)(x_BTD, segments_BT)
    want_BTD = written(x_BTD, segments_BT)
    np.testing.assert_allclose(got_BTD, want_BTD, rtol=1e-5, atol=1e-6)
    step = jax.jit(block.step)
    carry, outs = block.start(2, T), []
    for t in range(T):
        y_BD, carry = step(x_BTD[:, t], carry)
        outs.append(y_BD)
    want_BTD = written(x_BTD, None)
    np.testing.assert_allclose(np.stack(outs, 1), want_BTD, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mlp", ["gelu", "swiglu"])
def test_the_mlp_is_its_formula(mlp):
    one, x_BTD = build(mlp, "rms").mlps[0], inputs()
    h = x_BTD @ np.asarray(one.input.kernel.get_value())
    if mlp == "swiglu":
        gate, up = np.split(h, 2, axis=-1)
        h = gate / (1 + np.exp(-gate)) * up
    else:
        h = 0.5 * h * (1 + erf(h / np.sqrt(2)))
    assert h.shape[-1] == 12
    want_BTD = h @ np.asarray(one.out.kernel.get_value())
    np.testing.assert_allclose(jax.jit(one)(x_BTD), want_BTD, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "form",
    [
        {"residual": "parallel", "norm_at": "post"},
        {"residual": "parallel", "macaron": True},
    ],
)
def test_forms_that_exclude_each_other_are_refused(form):
    with pytest.raises(BadInput, match="share one norm"):
        build("gelu", "layer", **form)
    with pytest.raises(BadInput, match="needs an MLP; model.mlp is none, it must be"):
        build("none", "layer", macaron=True)


def test_dropout_needs_a_key_and_differs_between_the_branches():
    block, x_BTD = build("gelu", "layer", rate=0.5), inputs()
    plain = jax.jit(build("gelu", "layer"))(x_BTD)
    run = jax.jit(lambda key: block(x_BTD, key=key))
    np.testing.assert_array_equal(jax.jit(block)(x_BTD), plain)
    one, two, again = (np.asarray(run(jax.random.key(seed))) for seed in (1, 2, 1))
    assert not np.array_equal(one, plain) and not np.array_equal(one, two)
    np.testing.assert_array_equal(one, again)
    # Where both branches drop an entry, the stream passes untouched: a quarter.
    untouched = np.mean([
        np.mean(np.asarray(run(jax.random.key(seed))) == x_BTD) for seed in range(20)
    ])  # fmt: skip
    assert abs(untouched - 0.25) < 0.05


@pytest.mark.parametrize("mlp, norm", KINDS)
def test_cost_counts_the_mixer_and_the_mlp(mlp, norm):
    block = build(mlp, norm)
    mixer, cost = block.mixers[0].cost(T), block.cost(T)
    products = {"none": 0, "gelu": 2 * D * 12, "swiglu": 3 * D * 12}[mlp]
    assert cost.flops == mixer.flops + 2 * T * products
    assert cost.params == parameters(block) > mixer.params
    assert cost.state_bytes == mixer.state_bytes
    assert block.reach(T) == block.mixers[0].reach(T) == 3
    assert build(mlp, norm, mixers=3).reach(20) == 9
