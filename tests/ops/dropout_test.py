"""Dropout: its rate, its independence, and that a key fixes it."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_research.ops.dropout import dropout, hashed

KEY = jax.random.key(0)
SHAPE = (64, 64, 64)
COUNT = np.prod(SHAPE)


@partial(jax.jit, static_argnums=1)
def left(key, rate: float) -> jax.Array:
    return dropout(jnp.ones(SHAPE), rate, key)


def dropped(key, rate: float = 0.5) -> np.ndarray:
    return np.asarray(left(key, rate)) == 0


def within(share, chance: float, count: int) -> None:
    """`share` of `count` fair draws of `chance` is where 5 sigma expect it."""
    sigma = np.sqrt(chance * (1 - chance) / count)
    assert np.all(np.abs(share - chance) < 5 * sigma), (share, chance, sigma)


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5, 0.9])
def test_the_rate_is_kept_and_the_mean_too(rate):
    within(dropped(KEY, rate).mean(), rate, COUNT)
    kept = np.asarray(left(KEY, rate))
    np.testing.assert_allclose(kept[kept != 0], 1 / (1 - rate), rtol=1e-6)


def test_every_row_column_and_bit_is_fair():
    mask = dropped(KEY)
    for axis in range(3):
        within(mask.mean(axis=axis), 0.5, SHAPE[axis])
    bits = np.asarray(jax.jit(hashed, static_argnums=1)(KEY, SHAPE)).reshape(-1)
    for bit in range(32):
        within(((bits >> bit) & 1).mean(), 0.5, COUNT)
    counts = np.bincount(bits >> 24, minlength=256)
    chi_square = ((counts - COUNT / 256) ** 2 / (COUNT / 256)).sum()
    assert 255 - 5 * np.sqrt(510) < chi_square < 255 + 5 * np.sqrt(510)


def test_positions_are_independent():
    flat = dropped(KEY).reshape(-1)
    for lag in (1, 2, 3, 7, 16, 63, 64, 65, 256, 4096, 4097, 65536):
        within((flat[lag:] == flat[:-lag]).mean(), 0.5, COUNT - lag)


def test_keys_are_independent():
    masks = [dropped(key) for key in jax.random.split(KEY, 4)]
    # Neighbouring seeds and folded keys too: those are what training makes.
    masks += [dropped(jax.random.key(seed)) for seed in (1, 2, 3)]
    masks += [dropped(jax.random.fold_in(KEY, step)) for step in (10, 11, 12)]
    for i, one in enumerate(masks):
        for two in masks[:i]:
            within((one == two).mean(), 0.5, COUNT)
            within((one.ravel()[1:] == two.ravel()[:-1]).mean(), 0.5, COUNT - 1)


def test_a_key_fixes_the_mask_in_every_context():
    keys = jax.random.split(KEY, 3)
    x = jnp.ones((5, 7))
    alone = np.stack([dropout(x, 0.3, key) for key in keys])
    together = jax.jit(jax.vmap(lambda key: dropout(x, 0.3, key)))(keys)
    mapped = jax.jit(partial(jax.lax.map, lambda key: dropout(x, 0.3, key)))(keys)
    np.testing.assert_array_equal(alone, together)
    np.testing.assert_array_equal(alone, mapped)
    raw = dropout(x, 0.3, jax.random.key_data(keys[0]))
    np.testing.assert_array_equal(alone[0], raw)


def test_the_gradient_is_the_mask():
    x = jnp.full((5, 7), 2.0)

    @jax.jit
    def pulled(x):
        y, back = jax.vjp(lambda x: dropout(x, 0.3, KEY), x)
        return y, back(jnp.ones_like(y))[0]

    y, gradient = map(np.asarray, pulled(x))
    np.testing.assert_array_equal(gradient * 2, y)
    narrow = jax.ShapeDtypeStruct(x.shape, jnp.bfloat16)
    found = jax.eval_shape(lambda x: dropout(x, 0.3, KEY), narrow)
    assert found.dtype == jnp.bfloat16


def test_without_key_or_rate_nothing_is_touched():
    x = jnp.ones(3)
    assert dropout(x, 0.5, None) is x
    assert dropout(x, 0.0, KEY) is x
