"""Long convolutions against NumPy's, written-out sums and each other."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from attn_research.ops.fft import long_convolution

# More than two transforms long, and no multiple of a block.
B, T, D = 2, 387, 2
SEGMENTS = np.stack(
    [np.repeat([0, 1, 2, 0, 3, 4], [5, 120, 1, 9, 200, 52]), np.ones(T, int)]
).astype(np.int32)


def inputs(length: int = T, dtype=np.float32):
    draw = np.random.default_rng(0).standard_normal
    return draw((B, length, D)).astype(dtype), draw((length, D)).astype(dtype)


@functools.partial(jax.jit, static_argnames="form")
def pull(x_BTD, kernel_TD, segments_BT, form=None):
    run = functools.partial(
        long_convolution, segments_BT=segments_BT, implementation=form
    )
    y_BTD, back = jax.vjp(run, x_BTD, kernel_TD)
    return y_BTD, *back(jnp.cos(y_BTD))


def by_numpy(x_BTD, kernel_TD, segments_BT):
    y_BTD = np.zeros(x_BTD.shape)
    for b, d in np.ndindex(B, D):
        for segment in set(segments_BT[b]) - {0}:
            here = segments_BT[b] == segment
            full = np.convolve(x_BTD[b, here, d], kernel_TD[:, d])
            y_BTD[b, here, d] = full[: here.sum()]
    return y_BTD


def error(got, want) -> float:
    off = np.asarray(got, np.float64) - np.asarray(want)
    return float(np.linalg.norm(off) / np.linalg.norm(want))


@pytest.mark.parametrize("segments_BT", [None, SEGMENTS], ids=["one", "packed"])
def test_every_form_is_that_of_numpy(segments_BT):
    x, kernel = inputs()
    apart_BT = np.ones_like(SEGMENTS) if segments_BT is None else segments_BT
    want = by_numpy(x.astype(np.float64), kernel.astype(np.float64), apart_BT)
    with jax.enable_x64(True):
        wide = [a.astype(np.float64) for a in (x, kernel)]
        twin = [np.asarray(a) for a in pull(*wide, segments_BT, "naive")]
    assert error(twin[0], want) < 1e-13
    for form in ("halving", "fft"):
        got = pull(x, kernel, segments_BT, form)
        assert error(got[0], want) < 2e-6
        assert all(error(a, b) < 1e-5 for a, b in zip(got[1:], twin[1:], strict=True))
        if segments_BT is not None:
            assert not np.asarray(got[0])[SEGMENTS == 0].any()
            assert not np.asarray(got[1])[SEGMENTS == 0].any()


def test_not_a_bit_of_the_future_reaches_the_past():
    x, kernel = inputs()
    before = pull(x, kernel, None)[0]
    for token in (1, 127, 128, 200, 256, T - 1):
        changed = x.copy()
        changed[:, token] += 1e4
        after = pull(changed, kernel, None)[0]
        np.testing.assert_array_equal(before[:, :token], after[:, :token])
        assert (before[:, token] != after[:, token]).all()


def test_padding_may_hold_anything():
    x, kernel = inputs()
    spoiled = x.copy()
    spoiled[SEGMENTS == 0] = np.nan
    for one, two in zip(
        pull(spoiled, kernel, SEGMENTS), pull(x, kernel, SEGMENTS), strict=True
    ):
        np.testing.assert_array_equal(one, two)


def test_gradients_of_both_orders_by_finite_differences():
    with jax.enable_x64(True):
        run = jax.jit(long_convolution)
        check_grads(run, inputs(150, np.float64), 2, ["rev"], atol=1e-6, rtol=1e-6)


@pytest.mark.slow
def test_a_kernel_may_be_longer_and_a_sequence_short():
    x, kernel = inputs()
    for length in (1, 2, 5):
        got = long_convolution(jnp.asarray(x[:, :length]), jnp.asarray(kernel))
        want = by_numpy(x[:, :length], kernel, np.ones((B, length), int))
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_unknown_forms_are_refused():
    with pytest.raises(ValueError, match="'fast'; it must be one of naive"):
        long_convolution(*map(jnp.asarray, inputs()), implementation="fast")
