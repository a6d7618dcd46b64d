"""Feature maps: each against the kernel that its features are meant to multiply to."""

from functools import partial

import jax
import numpy as np
import pytest

from attn_research.ops import features
from attn_research.ops.features import (
    hedgehog,
    orthogonal_directions,
    random_positive,
    squared_relu,
    taylor,
    unit,
)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


@pytest.mark.parametrize("K", [1, 2, 16])
def test_taylor_features_multiply_to_the_polynomial(K):
    q, k = np.float64(normal(2, 50, K))
    s = (q * k).sum(-1) / np.sqrt(K)
    phi = jax.jit(taylor)
    got = np.asarray(phi(np.float32(q))) * np.asarray(phi(np.float32(k)))
    assert got.shape == (50, 1 + K + K * (K + 1) // 2)
    np.testing.assert_allclose(got.sum(-1), 1 + s + s**2 / 2, rtol=2e-5, atol=2e-6)


def test_random_features_multiply_to_the_softmax_kernel_on_average():
    K = 8
    q, k = np.float64(normal(2, 20, K)) * 0.7
    want = np.exp((q * k).sum(-1) / np.sqrt(K))
    w_MK = orthogonal_directions(0, 16_384, K)
    # A query's largest feature is divided out; put back, it is the plain kernel.
    largest = np.exp((q * K**-0.25 @ w_MK.T).max(-1) - (q**2).sum(-1) / K**0.5 / 2)
    of_query, of_key = (
        np.asarray(jax.jit(partial(random_positive, query=query))(np.float32(x), w_MK))
        for x, query in ((q, True), (k, False))
    )
    got = (of_query * largest[:, None] * of_key).sum(-1)
    # Relative variance (e^(|q + k|^2 / sqrt K) - 1) / M of independent directions.
    spread = np.sqrt(np.expm1(((q + k) ** 2).sum(-1) / K**0.5) / len(w_MK))
    assert (np.abs(got / want - 1) < 4 * spread + 1e-4).all()


def test_directions_are_orthogonal_in_blocks_normal_and_a_function_of_the_seed():
    w_MK = orthogonal_directions(3, 10, 4)
    for block in (w_MK[:4], w_MK[4:8]):
        gram = block @ block.T
        np.testing.assert_allclose(gram, np.diag(np.diagonal(gram)), atol=1e-12)
    np.testing.assert_array_equal(w_MK, orthogonal_directions(3, 10, 4))
    assert (w_MK != orthogonal_directions(4, 10, 4)).all()
    many = orthogonal_directions(0, 8000, 4)
    # Mean, variance and kurtosis of a standard normal, to five standard errors.
    for power, moment in ((1, 0), (2, 1), (4, 3)):
        assert abs((many**power).mean() - moment) < 5 * np.sqrt(105 / many.size)


def test_random_features_of_huge_inputs_are_finite():
    w_MK = orthogonal_directions(0, 16, 8)
    for query in (True, False):

        @jax.jit
        def pulled(x, query=query):
            out, back = jax.vjp(lambda x: random_positive(x, w_MK, query=query), x)
            return out, back(out)[0]

        for scale in (0.0, 1e4, 1e15):
            out, slope = map(np.asarray, pulled(np.float32(normal(30, 8) * scale)))
            assert np.isfinite(out).all() and np.isfinite(slope).all()
            # Of queries the largest is one; of keys all may be too small for float32.
            assert not query or (out.max(-1) >= 16**-0.5).all()


def test_hedgehog_is_the_softmax_of_both_signs():
    x, kernel = normal(5, 2, 3), normal(2, 3, 4, seed=1)
    z = np.einsum("thk,hkm->thm", x, kernel)
    rise, fall = np.exp(z), np.exp(-z)
    want = np.concatenate(
        [rise / rise.sum(-1, keepdims=True), fall / fall.sum(-1, keepdims=True)], -1
    )
    np.testing.assert_allclose(jax.jit(hedgehog)(x, kernel), want, rtol=1e-5)


def test_logarithms_are_those_of_the_features():
    x, w_MK = normal(50, 4) * 2, orthogonal_directions(0, 6, 4)
    kernel = normal(1, 4, 3, seed=1)
    with np.errstate(divide="ignore"):
        for log, plain in (
            (features.log_elu_plus_one, features.elu_plus_one),
            (features.log_squared_relu, squared_relu),
            (
                lambda x: features.log_hedgehog(x[:, None], kernel),
                lambda x: hedgehog(x[:, None], kernel),
            ),
            (
                lambda x: features.log_random_positive(x, w_MK, query=False),
                lambda x: random_positive(x, w_MK, query=False) * 6**0.5,
            ),
        ):
            want = np.log(np.float64(jax.jit(plain)(x)))
            np.testing.assert_allclose(jax.jit(log)(x), want, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("x", [-300.0, 0.0, 1e-30, 1e30])
def test_logarithms_and_their_slopes_hold_at_any_size(x):
    for log in (features.log_elu_plus_one, features.log_squared_relu):
        found, slope = jax.jit(jax.value_and_grad(log))(np.float32(x))
        assert not np.isnan(found) and np.isfinite(slope)
    assert jax.jit(features.log_elu_plus_one)(np.float32(-300)) == -300


def test_squared_relu_is_zero_below_and_smooth_at_zero():
    x = np.array([-2, 0, 3], np.float32)
    found, slope = jax.jit(jax.vmap(jax.value_and_grad(squared_relu)))(x)
    np.testing.assert_array_equal(found, [0, 0, 9])
    np.testing.assert_array_equal(slope, [0, 0, 6])


def test_unit_vectors_have_length_one_and_zero_stays():
    x = np.array([[3, 4], [0, 0], [3e4, 4e4]], np.float32)
    found = jax.jit(unit)(x)
    np.testing.assert_allclose(found, [[0.6, 0.8], [0, 0], [0.6, 0.8]], rtol=1e-6)
    slope = jax.jit(jax.jacrev(unit))(x[1])
    np.testing.assert_allclose(slope, np.eye(2) * 1e3, rtol=1e-5)


def test_positive_features_are_positive():
    x = normal(100, 4) * 3
    for phi in (features.elu_plus_one, taylor):
        feature = np.asarray(jax.jit(phi)(x))
        weights = (feature[:, None] * feature[None]).sum(-1)
        assert (weights > 0).all()
