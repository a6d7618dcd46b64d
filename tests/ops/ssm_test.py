"""Diagonal state spaces against SciPy's filters, their forms against each other."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import lfilter

from attn_research.ops.ssm import kernel, state_space

B, T, D, N = 2, 21, 3, 4
SEGMENTS = np.stack(
    [np.repeat([0, 1, 0, 2, 3], [1, 7, 1, 8, 4]), np.ones(21, int)]
).astype(np.int32)


def inputs(dtype=np.complex64):
    """u_BTD, log_DN, read_DN."""
    draw = np.random.default_rng(0).standard_normal
    real = np.float32 if dtype == np.complex64 else np.float64
    log_DN = -0.1 * np.exp(draw((D, N))) + 1j * draw((D, N))
    read_DN = draw((D, N)) + 1j * draw((D, N))
    return draw((B, T, D)).astype(real), log_DN.astype(dtype), read_DN.astype(dtype)


def by_scipy(u_BTD, log_DN, read_DN, segments_BT):
    y_BTD = np.zeros(u_BTD.shape)
    for b, d, n in np.ndindex(B, D, N):
        for segment in set(segments_BT[b]) - {0}:
            here = segments_BT[b] == segment
            h = lfilter([1], [1, -np.exp(log_DN[d, n])], u_BTD[b, here, d])
            y_BTD[b, here, d] += 2 * (read_DN[d, n] * h).real
    return y_BTD


@functools.partial(jax.jit, static_argnames=("form", "chunk"))
def pull(arrays, segments, form=None, chunk=4):
    run = functools.partial(
        state_space, segments_BT=segments, implementation=form, chunk=chunk
    )
    y, back = jax.vjp(run, *arrays)
    return y, *back(jnp.cos(y))


def error(got, want) -> float:
    difference = np.asarray(got) - np.asarray(want)
    return float(np.linalg.norm(difference) / np.linalg.norm(want))


@pytest.mark.parametrize("form", ["sequential", "convolution"])
def test_every_form_is_the_filter_of_scipy(form):
    # Of the rounded poles: their rounding is no fault of the state space.
    narrow = inputs()
    exact = [a.astype(np.result_type(a, np.float64)) for a in narrow]
    with jax.enable_x64(True):
        want = [np.asarray(x) for x in pull(exact, SEGMENTS, "naive")]
    assert error(want[0], by_scipy(*exact, SEGMENTS)) < 1e-13
    got = pull(narrow, SEGMENTS, form)
    assert error(got[0], want[0]) < 2e-6
    assert all(error(one, two) < 1e-5 for one, two in zip(got, want, strict=True))
    assert not np.asarray(got[0])[SEGMENTS == 0].any()


@pytest.mark.parametrize("length", [1, 2, 17])
def test_the_kernel_is_a_sum_of_powers(length):
    _, log_DN, read_DN = inputs(np.complex128)
    time_T = np.arange(length)
    want_TDN = read_DN * np.exp(log_DN * time_T[:, None, None])
    with jax.enable_x64(True):
        run = jax.jit(kernel, static_argnums=2)
        got_TD = np.asarray(run(log_DN, read_DN, length))
    np.testing.assert_allclose(got_TD, 2 * want_TDN.real.sum(-1), atol=1e-13)


def test_unknown_forms_are_refused():
    with pytest.raises(ValueError, match="'fast'; it must be one of naive"):
        state_space(*map(jnp.asarray, inputs()), implementation="fast")
