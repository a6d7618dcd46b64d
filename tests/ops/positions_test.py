"""Positions restart in segments; every encoding works at one position as at many."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_research.ops import positions

ROW = [0, 0, 1, 1, 1, 2, 2, 0, 3]
KEY = jax.random.key(0)


def test_positions_restart_in_every_segment():
    got_BT = positions.positions(1, len(ROW), jnp.array([ROW]))
    np.testing.assert_array_equal(got_BT, [[0, 1, 0, 1, 2, 0, 1, 0, 0]])


def test_without_segments_positions_count():
    got_BT = positions.positions(2, 5, None)
    np.testing.assert_array_equal(got_BT, np.broadcast_to(np.arange(5), (2, 5)))
    np.testing.assert_array_equal(
        got_BT, positions.positions(2, 5, jnp.ones((2, 5), jnp.int32))
    )


def test_rope_product_depends_on_the_distance_only():
    q, k = (jax.random.normal(key, (1, 1, 1, 8)) for key in jax.random.split(KEY))

    def product(query: int, key: int) -> jax.Array:
        turned = (
            positions.rope(x, jnp.array([[at]]), 100.0)
            for x, at in ((q, query), (k, key))
        )
        return jnp.vdot(*turned)

    np.testing.assert_allclose(product(3, 1), product(12, 10), rtol=1e-5)
    assert abs(product(3, 1) - product(4, 1)) > 1e-3


def test_rope_is_the_complex_rotation():
    x_BTHK = jax.random.normal(KEY, (2, 5, 3, 8))
    at_BT = jnp.arange(10).reshape(2, 5)
    rates = 100.0 ** -(np.arange(4) / 4)
    turn = np.exp(1j * np.asarray(at_BT)[:, :, None, None] * rates)
    want = (np.asarray(x_BTHK[..., :4]) + 1j * np.asarray(x_BTHK[..., 4:])) * turn
    got = positions.rope(x_BTHK, at_BT, 100.0)
    np.testing.assert_allclose(got[..., :4], want.real, atol=1e-5)
    np.testing.assert_allclose(got[..., 4:], want.imag, atol=1e-5)


def test_rope_at_position_zero_changes_nothing_and_keeps_the_dtype():
    x_BTHK = jax.random.normal(KEY, (1, 1, 1, 4), jnp.bfloat16)
    got = positions.rope(x_BTHK, jnp.zeros((1, 1), jnp.int32), 100.0)
    np.testing.assert_array_equal(got, x_BTHK)
    assert got.dtype == jnp.bfloat16


def test_rope_refuses_an_odd_head():
    with pytest.raises(ValueError, match="head size is 3"):
        positions.rope(jnp.ones((1, 1, 1, 3)), jnp.zeros((1, 1), jnp.int32), 100.0)


@pytest.mark.parametrize("width", [1, 4, 7])
def test_sinusoid_is_the_formula(width):
    at_BT = jnp.array([[0, 3, 1000]])
    half = (width + 1) // 2
    angle = np.asarray(at_BT)[..., None] * 10_000.0 ** -(np.arange(half) / half)
    want = np.concatenate([np.sin(angle), np.cos(angle)], axis=-1)[..., :width]
    got = positions.sinusoid(at_BT, width)
    assert got.shape == (1, 3, width)
    np.testing.assert_allclose(got, want, atol=1e-4)


def test_one_position_gives_what_the_whole_sequence_gives():
    at_BT = jnp.arange(6)[None]
    table_ND = jax.random.normal(KEY, (6, 4))
    x_BTHK = jax.random.normal(KEY, (1, 6, 2, 4))
    for whole, one in (
        (positions.lookup(table_ND, at_BT), positions.lookup(table_ND, at_BT[:, 3:4])),
        (positions.sinusoid(at_BT, 4), positions.sinusoid(at_BT[:, 3:4], 4)),
        (
            positions.rope(x_BTHK, at_BT, 100.0),
            positions.rope(x_BTHK[:, 3:4], at_BT[:, 3:4], 100.0),
        ),
    ):
        np.testing.assert_allclose(whole[:, 3:4], one, rtol=1e-6)


SCALINGS = [
    positions.Rope(10_000.0),
    positions.Rope(10_000.0, 0.5, "linear", 4.0),
    positions.Rope(10_000.0, 1.0, "ntk", 4.0),
    positions.Rope(10_000.0, 1.0, "yarn", 4.0, 128),
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
            "truncate": False,
        },
    )
    if rope.scaling == "none":
        want = 10_000.0 ** -(np.arange(16) / 16)
    else:
        want = library.ROPE_INIT_FUNCTIONS[rope.scaling](config, "cpu")[0].numpy()
    np.testing.assert_allclose(rope.rates(rope.size(32)), want, rtol=1e-5)


def test_ntk_slows_the_slowest_pair_by_the_factor_and_keeps_the_fastest():
    plain, slow = SCALINGS[0].rates(16), SCALINGS[2].rates(16)
    np.testing.assert_allclose(slow[[0, -1]], plain[[0, -1]] / [1, 4])


@pytest.mark.parametrize("rope", SCALINGS, ids=str)
def test_a_stretched_product_depends_on_the_distance_only(rope):
    q, k = (jax.random.normal(key, (1, 1, 1, 8)) for key in jax.random.split(KEY))

    def product(query: int, key: int) -> jax.Array:
        return jnp.vdot(rope(q, jnp.array([[query]])), rope(k, jnp.array([[key]])))

    np.testing.assert_allclose(product(3, 1), product(12, 10), rtol=1e-5)
    assert abs(product(3, 1) - product(4, 1)) > 1e-4
    kept = rope.size(8)
    turned = rope(q, jnp.array([[5]]))
    np.testing.assert_array_equal(turned[..., kept:], q[..., kept:])


def test_scattered_positions_rise_and_lie_within_their_range():
    at_BT = np.asarray(positions.scattered(KEY, 3, 20, 50))
    assert (np.diff(at_BT) > 0).all() and at_BT.min() >= 0 and at_BT.max() < 50
    assert not np.array_equal(at_BT[0], at_BT[1])
    with pytest.raises(ValueError, match="5 positions for 6"):
        positions.scattered(KEY, 1, 6, 5)
