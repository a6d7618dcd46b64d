"""The diagonal recurrence against plain loops."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from attn_research.ops.recurrence import diagonal_recurrence

B, T, N = 2, 11, 3
SEGMENTS = np.stack(
    [np.repeat([0, 1, 0, 2, 3], [1, 2, 1, 4, 3]), np.ones(11, int)]
).astype(np.int32)


def inputs(dtype=np.float64):
    draw = np.random.default_rng(0).standard_normal
    a, b = np.tanh(draw((B, T, N))), draw((B, T, N))
    if np.issubdtype(dtype, np.complexfloating):
        a = a * np.exp(1j * draw((B, T, N)))
    return a.astype(dtype), b.astype(dtype)


def looped(a, b, segments):
    h = np.zeros_like(b)
    for row, t in np.ndindex(B, T):
        if segments[row, t]:
            h[row, t] = b[row, t]
            if t and segments[row, t] == segments[row, t - 1]:
                h[row, t] += a[row, t] * h[row, t - 1]
    return h


def error(got, want) -> float:
    difference = np.asarray(got) - np.asarray(want)
    return float(np.linalg.norm(difference) / np.linalg.norm(want))


@functools.partial(jax.jit, static_argnames="form")
def pull(a, b, segments, ct, form):
    run = functools.partial(
        diagonal_recurrence, segments_BT=segments, implementation=form
    )
    h, back = jax.vjp(run, a, b)
    return h, *back(ct)


@pytest.mark.parametrize("form", ["naive", "sequential", "associative", "chunked"])
def test_every_form_is_the_loop(form):
    a, b = inputs()
    with jax.enable_x64(True):
        want = [np.asarray(x) for x in pull(a, b, SEGMENTS, b, "naive")]
    assert error(want[0], looped(a, b, SEGMENTS)) < 1e-14
    got = pull(*inputs(np.float32), SEGMENTS, np.float32(b), form)
    assert all(error(one, two) < 2e-6 for one, two in zip(got, want, strict=True))
    for leaf in got:
        assert not np.asarray(leaf)[SEGMENTS == 0].any()


def test_one_segment_is_none():
    a, b = inputs(np.float32)
    got = jax.jit(diagonal_recurrence)(a, b)
    assert error(got, looped(a, b, np.ones((B, T)))) < 2e-6


@pytest.mark.parametrize("form", ["sequential", "associative"])
def test_complex_states_stay_complex(form):
    a, b = inputs(np.complex64)
    got = jax.jit(diagonal_recurrence, static_argnames="implementation")(
        a, b, segments_BT=SEGMENTS, implementation=form
    )
    assert got.dtype == jnp.complex64
    assert error(got, looped(a, b, SEGMENTS)) < 2e-6


@pytest.mark.parametrize("form", ["sequential", "associative"])
def test_the_state_counts_in_float32_for_bfloat16(form):
    ones = jnp.ones((1, 4096, 1), jnp.bfloat16)
    run = jax.jit(diagonal_recurrence, static_argnames="implementation")
    h = run(ones, ones, implementation=form)
    assert h.dtype == jnp.bfloat16 and float(h[0, -1, 0]) == 4096


def test_long_sequences_keep_their_digits():
    draw = np.random.default_rng(0).standard_normal
    a, b = 1 - 1e-3 * draw((1, 131_072, 2)) ** 2, draw((1, 131_072, 2))
    run = jax.jit(diagonal_recurrence, static_argnames="implementation")
    with jax.enable_x64(True):
        # Of the rounded decays: their rounding is no fault of the recurrence.
        a32, b32 = a.astype(np.float32), b.astype(np.float32)
        want = np.asarray(run(a32.astype(np.float64), b32.astype(np.float64)))
    for form in ("sequential", "associative", "chunked"):
        assert error(run(a32, b32, implementation=form), want) < 1e-5


def test_padding_may_hold_anything():
    a, b = inputs(np.float32)
    a[SEGMENTS == 0] = b[SEGMENTS == 0] = np.nan
    for form in ("sequential", "associative"):
        got = pull(a, b, SEGMENTS, np.ones_like(b), form)
        want = pull(np.nan_to_num(a), np.nan_to_num(b), SEGMENTS, np.ones_like(b), form)
        for one, two in zip(got, want, strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("form", ["sequential", "associative"])
@pytest.mark.parametrize("size", [1e30, 0.0, 1e-40])
def test_extreme_inputs_stay_finite(size, form):
    a, b = inputs()
    for decay in (a, np.ones_like(a)):
        scaled = np.float32(decay), np.float32(b * size)
        for leaf in pull(*scaled, SEGMENTS, np.ones_like(b, np.float32), form):
            assert np.isfinite(leaf).all()


def test_gradients_of_both_orders_by_finite_differences():
    with jax.enable_x64(True):
        a, b = (x[:, :6] for x in inputs())
        for form in ("sequential", "associative"):
            run = functools.partial(
                diagonal_recurrence, segments_BT=SEGMENTS[:, :6], implementation=form
            )
            check_grads(jax.jit(run), (a, b), 2, ["rev"], atol=1e-6, rtol=1e-6)


def test_unknown_forms_are_refused():
    a, b = inputs(np.float32)
    with pytest.raises(ValueError, match="'fast'; it must be one of naive"):
        diagonal_recurrence(a, b, implementation="fast")
