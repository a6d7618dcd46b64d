"""Positions restart in segments; every encoding works at one position as at many."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_research.ops import positions

ROW = [0, 0, 1, 1, 1, 2, 2, 0, 3]
KEY = jax.random.key(0)
rope = jax.jit(partial(positions.rope, base=100.0))


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def test_positions_restart_in_every_segment():
    got_BT = jax.jit(lambda: positions.positions(1, len(ROW), jnp.array([ROW])))()
    np.testing.assert_array_equal(got_BT, [[0, 1, 0, 1, 2, 0, 1, 0, 0]])


def test_without_segments_positions_count():
    @jax.jit
    def counted():
        ones_BT = jnp.ones((2, 5), jnp.int32)
        return [positions.positions(2, 5, ids) for ids in (None, ones_BT)]

    for got_BT in counted():
        np.testing.assert_array_equal(got_BT, np.broadcast_to(np.arange(5), (2, 5)))


def test_rope_product_depends_on_the_distance_only():
    q, k = normal(2, 1, 1, 1, 8)

    def product(query: int, key: int) -> float:
        turned = (rope(x, np.array([[at]])) for x, at in ((q, query), (k, key)))
        return np.vdot(*turned)

    np.testing.assert_allclose(product(3, 1), product(12, 10), rtol=1e-5)
    assert abs(product(3, 1) - product(4, 1)) > 1e-3


def test_rope_is_the_complex_rotation():
    x_BTHK = normal(2, 5, 3, 8)
    at_BT = np.arange(10).reshape(2, 5)
    rates = 100.0 ** -(np.arange(4) / 4)
    turn = np.exp(1j * at_BT[:, :, None, None] * rates)
    want = (x_BTHK[..., :4] + 1j * x_BTHK[..., 4:]) * turn
    got = np.asarray(rope(x_BTHK, at_BT))
    np.testing.assert_allclose(got[..., :4], want.real, atol=1e-5)
    np.testing.assert_allclose(got[..., 4:], want.imag, atol=1e-5)


def test_rope_at_position_zero_changes_nothing_and_keeps_the_dtype():
    x_BTHK = normal(1, 1, 1, 4).astype(jnp.bfloat16)
    got = rope(x_BTHK, np.zeros((1, 1), np.int32))
    np.testing.assert_array_equal(got, x_BTHK)
    assert got.dtype == jnp.bfloat16


def test_rope_refuses_an_odd_head():
    with pytest.raises(ValueError, match="head size is 3"):
        positions.rope(jnp.ones((1, 1, 1, 3)), jnp.zeros((1, 1), jnp.int32), 100.0)


@pytest.mark.parametrize("width", [1, 4, 7])
def test_sinusoid_is_the_formula(width):
    at_BT = np.array([[0, 3, 1000]])
    half = (width + 1) // 2
    angle = at_BT[..., None] * 10_000.0 ** -(np.arange(half) / half)
    want = np.concatenate([np.sin(angle), np.cos(angle)], axis=-1)[..., :width]
    got = jax.jit(positions.sinusoid, static_argnums=1)(at_BT, width)
    assert got.shape == (1, 3, width)
    np.testing.assert_allclose(got, want, atol=1e-4)


def test_one_position_gives_what_the_whole_sequence_gives():
    at_BT = np.arange(6)[None]
    table_ND, x_BTHK = normal(6, 4), normal(1, 6, 2, 4)

    @jax.jit
    def encoded(x_BTHK, at_BT):
        looked_up = positions.lookup(table_ND, at_BT)
        return looked_up, positions.sinusoid(at_BT, 4), rope(x_BTHK, at_BT)

    every = encoded(x_BTHK, at_BT), encoded(x_BTHK[:, 3:4], at_BT[:, 3:4])
    for whole, one in zip(*every, strict=True):
        np.testing.assert_allclose(np.asarray(whole)[:, 3:4], one, rtol=1e-6)


SCALINGS = [
    positions.Rope(10_000.0),
    positions.Rope(10_000.0, 0.5, "linear", 4.0),
    positions.Rope(10_000.0, 1.0, "ntk", 4.0),
    positions.Rope(10_000.0, 1.0, "yarn", 4.0, 128),
    positions.Rope(10_000.0, 1.0, "yarn", 4.0, 128, truncate=False),
]


@pytest.mark.parametrize("rope", SCALINGS[:2] + SCALINGS[3:], ids=str)
def test_scalings_turn_as_those_of_transformers(rope):
    library = pytest.importorskip("transformers.modeling_rope_utils")
    config = pytest.importorskip("transformers").LlamaConfig(
        hidden_size=64,
        num_attention_heads=2,
        max_position_embeddings=128,
        rope_parameters={
            "rope_type": "default" if rope.scaling == "none" else rope.scaling,
            "rope_theta": rope.base,
            "partial_rotary_factor": rope.share,
            "factor": rope.factor,
            "original_max_position_embeddings": rope.original,
            **({} if rope.truncate else {"truncate": False}),
        },
    )
    if rope.scaling == "none":
        want = 10_000.0 ** -(np.arange(16) / 16)
    else:
        want = library.ROPE_INIT_FUNCTIONS[rope.scaling](config, "cpu")[0].numpy()
    np.testing.assert_allclose(rope.rates(rope.size(32)), want, rtol=1e-5)


def test_the_range_that_yarn_blends_is_in_whole_pairs_unless_told():
    """Written from the formula of the released code, for each pair by itself."""
    base, size, original, factor = 10_000.0, 32, 512, 4.0

    def pair(turns):
        return size * math.log(original / (turns * 2 * math.pi)) / 2 / math.log(base)

    for truncate, low, high in (
        (True, math.floor(pair(32)), math.ceil(pair(1))),
        (False, pair(32), pair(1)),
    ):
        want = []
        for n in range(size // 2):
            rate = base ** (-2 * n / size)
            slow = min(max((n - low) / (high - low), 0), 1)
            want.append(rate * (1 - slow) + rate / factor * slow)
        rope = positions.Rope(base, 1.0, "yarn", factor, original, truncate)
        np.testing.assert_allclose(rope.rates(size), want, rtol=1e-12)
    default = positions.Rope(base, 1.0, "yarn", factor, original)
    assert default.truncate


def test_ntk_slows_the_slowest_pair_by_the_factor_and_keeps_the_fastest():
    plain, slow = SCALINGS[0].rates(16), SCALINGS[2].rates(16)
    np.testing.assert_allclose(slow[[0, -1]], plain[[0, -1]] / [1, 4])


@pytest.mark.parametrize("rope", SCALINGS, ids=str)
def test_a_stretched_product_depends_on_the_distance_only(rope):
    q, k = normal(2, 1, 1, 1, 8)
    turn = jax.jit(lambda x_BTHK, at_BT: rope(x_BTHK, at_BT))

    def product(query: int, key: int) -> float:
        return np.vdot(turn(q, np.array([[query]])), turn(k, np.array([[key]])))

    np.testing.assert_allclose(product(3, 1), product(12, 10), rtol=1e-5)
    assert abs(product(3, 1) - product(4, 1)) > 1e-4
    kept = rope.size(8)
    turned = np.asarray(turn(q, np.array([[5]])))
    np.testing.assert_array_equal(turned[..., kept:], q[..., kept:])


def test_scattered_positions_rise_and_lie_within_their_range():
    draw = jax.jit(positions.scattered, static_argnums=(1, 2, 3))
    at_BT = np.asarray(draw(KEY, 3, 20, 50))
    assert (np.diff(at_BT) > 0).all() and at_BT.min() >= 0 and at_BT.max() < 50
    assert not np.array_equal(at_BT[0], at_BT[1])
    with pytest.raises(ValueError, match="5 positions for 6"):
        positions.scattered(KEY, 1, 6, 5)
