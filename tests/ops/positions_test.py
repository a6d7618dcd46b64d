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
