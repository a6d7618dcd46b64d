"""The block: residual branches, decoding, dropout, cost."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from attn_research.modules.block import Block
from attn_research.modules.contract import parameters
from attn_research.modules.conv import Conv, ConvOptions

D, T = 8, 6
KINDS = [("none", "layer"), ("gelu", "layer"), ("swiglu", "rms")]


def build(mlp: str, norm: str, rate: float = 0.0, causal: bool = True) -> Block:
    rngs = nnx.Rngs(0)
    mixer = Conv(ConvOptions(), width=D, causal=causal, length=T, rngs=rngs)
    return Block(
        mixer, width=D, mlp=mlp, mlp_ratio=1.5, norm=norm, dropout=rate, rngs=rngs
    )  # type: ignore


def inputs() -> jax.Array:
    return jax.random.normal(jax.random.key(0), (2, T, D))


@pytest.mark.parametrize("mlp, norm", KINDS)
def test_step_by_step_is_the_whole_sequence(mlp, norm):
    block, x_BTD = build(mlp, norm), inputs()
    step = jax.jit(block.step)
    carry, outs = block.start(2, T), []
    for t in range(T):
        y_BD, carry = step(x_BTD[:, t], carry)
        outs.append(y_BD)
    want_BTD = jax.jit(block)(x_BTD)
    np.testing.assert_allclose(jnp.stack(outs, 1), want_BTD, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mlp, norm", KINDS)
def test_the_block_is_its_formula(mlp, norm):
    block, x_BTD = build(mlp, norm), inputs()
    segments_BT = jnp.asarray([[1, 1, 2, 2, 0, 0]] * 2)
    y_BTD = x_BTD + block.mixer(block.mixer_norm(x_BTD), segments_BT)
    if block.mlp is not None:
        h = block.mlp_norm(y_BTD) @ block.mlp.input.kernel.get_value()
        if mlp == "swiglu":
            gate, up = jnp.split(h, 2, axis=-1)
            h = jax.nn.silu(gate) * up
        else:
            h = jax.nn.gelu(h)
        assert h.shape[-1] == 12
        y_BTD = y_BTD + h @ block.mlp.out.kernel.get_value()
    np.testing.assert_allclose(block(x_BTD, segments_BT), y_BTD, rtol=1e-5, atol=1e-6)


def test_dropout_needs_a_key_and_differs_between_the_branches():
    block, x_BTD = build("gelu", "layer", rate=0.5), inputs()
    plain = build("gelu", "layer")(x_BTD)
    np.testing.assert_array_equal(block(x_BTD), plain)
    one, two = (block(x_BTD, key=jax.random.key(seed)) for seed in (1, 2))
    assert not np.array_equal(one, plain) and not np.array_equal(one, two)
    np.testing.assert_array_equal(one, block(x_BTD, key=jax.random.key(1)))
    # Where both branches drop an entry, the stream passes untouched: a quarter.
    untouched = np.mean([
        np.mean(np.asarray(block(x_BTD, key=jax.random.key(seed)) == x_BTD))
        for seed in range(20)
    ])  # fmt: skip
    assert abs(untouched - 0.25) < 0.05


@pytest.mark.parametrize("mlp, norm", KINDS)
def test_cost_counts_the_mixer_and_the_mlp(mlp, norm):
    block = build(mlp, norm)
    mixer, cost = block.mixer.cost(T), block.cost(T)
    products = {"none": 0, "gelu": 2 * D * 12, "swiglu": 3 * D * 12}[mlp]
    assert cost.flops == mixer.flops + 2 * T * products
    assert cost.params == parameters(block) > mixer.params
    assert cost.state_bytes == mixer.state_bytes
    assert block.reach(T) == block.mixer.reach(T) == 3
