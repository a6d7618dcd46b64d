"""Triangular systems against numpy in float64, their gradients, and large batches."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_research.ops import triangular

# On a pool of two threads two batched calls of LAPACK wait for each other here.
LARGE = """
import jax, jax.numpy as jnp
from attn_research.ops.delta import delta_rule
draw = lambda key, *shape: jax.random.normal(jax.random.key(key), shape)
k = draw(0, 128, 48, 16, 4)
k = k / jnp.linalg.norm(k, axis=-1, keepdims=True)
beta = jax.nn.sigmoid(draw(1, 128, 48, 16))
def loss(k, v, w):
    return sum((delta_rule(k, k, x, beta) ** 2).sum() for x in (v, w))
v, w = draw(2, *k.shape), draw(3, *k.shape)
jax.block_until_ready(jax.jit(jax.grad(loss, argnums=(0, 1, 2)))(k, v, w))
"""


def system(size: int, columns: int = 3):
    draw = np.random.default_rng(size)
    strict = np.tril(draw.normal(size=(2, size, size)), -1) / np.sqrt(size)
    return strict, draw.normal(size=(2, size, columns))


@pytest.mark.parametrize("size", [1, 2, 3, 8, 48, 64])
def test_the_solution_is_that_of_float64(size):
    strict_XTT, b_XTE = system(size)
    found = triangular.solve(jnp.float32(strict_XTT), jnp.float32(b_XTE))
    expected = np.linalg.solve(np.eye(size) + strict_XTT, b_XTE)
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)


def test_the_inverse_has_nothing_above_its_diagonal():
    found = triangular.inverse(jnp.float32(system(24)[0]))
    np.testing.assert_array_equal(found, np.tril(found))
    np.testing.assert_array_equal(np.diagonal(found, axis1=1, axis2=2), 1)


def test_the_gradients_are_those_of_the_inverse():
    strict_XTT, b_XTE = map(jnp.float32, system(12))

    def ours(strict_XTT, b_XTE):
        return (triangular.solve(jnp.tril(strict_XTT, -1), b_XTE) ** 2).sum()

    def theirs(strict_XTT, b_XTE):
        whole_XTT = jnp.tril(strict_XTT, -1) + jnp.eye(12)[None]
        return ((jnp.linalg.inv(whole_XTT) @ b_XTE) ** 2).sum()

    for order in (jax.grad, lambda f, n: jax.jacfwd(jax.grad(f, n), n)):
        for which in (0, 1):
            found = order(ours, which)(strict_XTT, b_XTE)
            expected = order(theirs, which)(strict_XTT, b_XTE)
            np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_a_large_batch_of_the_delta_rule_ends():
    subprocess.run([sys.executable, "-c", LARGE], check=True, timeout=120)
