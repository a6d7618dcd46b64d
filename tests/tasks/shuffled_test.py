"""A draw of a split: each example once, the same every time, of every part of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_research.tasks.parts.shuffled import shuffled


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 16, 17, 63, 64, 65, 1000, 4097])
def test_every_example_has_one_place(count):
    order_N = np.asarray(jax.jit(shuffled)(jnp.arange(count), jnp.int32(count)))
    assert sorted(order_N) == list(range(count))
    again_N = shuffled(jnp.arange(count)[::-1], jnp.int32(count))
    np.testing.assert_array_equal(np.asarray(again_N)[::-1], order_N)


@pytest.mark.parametrize("count", [999, 10_000, 2_000_000_000])
def test_the_first_places_are_a_draw_of_the_whole(count):
    """Quarters of the split have their share, and neighbours nothing in common."""
    order_N = np.asarray(shuffled(jnp.arange(400), jnp.int32(count)), np.float64)
    quarters = np.bincount((order_N / count * 4).astype(int), minlength=4)
    # The deviation of a quarter of 400 is 8.7.
    assert np.all(np.abs(quarters - 100) < 35)
    assert abs(np.corrcoef(order_N[:-1], order_N[1:])[0, 1]) < 0.15
