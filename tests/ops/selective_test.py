"""The selective scan against a written-out loop, its forms against each other."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_research.ops.selective import selective_scan, selective_step

B, T, D, N = 2, 11, 3, 2
SEGMENTS = np.stack(
    [np.repeat([0, 1, 0, 2, 3], [1, 2, 1, 4, 3]), np.ones(11, int)]
).astype(np.int32)


def inputs(dtype=np.float64):
    """u_BTD, step_BTD, rate_DN, write_BTN, read_BTN."""
    draw = np.random.default_rng(0).standard_normal
    shapes = (B, T, D), (B, T, D), (D, N), (B, T, N), (B, T, N)
    u, step, rate, write, read = (draw(shape) for shape in shapes)
    return [a.astype(dtype) for a in (u, np.exp(step), np.exp(rate), write, read)]


def looped(u, step, rate, write, read, segments):
    y, h = np.zeros(u.shape), np.zeros((B, D, N))
    for b, t in np.ndindex(B, T):
        if t and segments[b, t] != segments[b, t - 1]:
            h[b] = 0
        h[b] *= np.exp(-step[b, t, :, None] * rate)
        h[b] += (step[b, t] * u[b, t])[:, None] * write[b, t]
        y[b, t] = h[b] @ read[b, t] * (segments[b, t] != 0)
    return y


@functools.partial(jax.jit, static_argnames=("form", "chunk"))
def pull(arrays, segments, form=None, chunk=4):
    run = functools.partial(
        selective_scan, segments_BT=segments, implementation=form, chunk=chunk
    )
    y, back = jax.vjp(run, *arrays)
    return y, *back(jnp.cos(y))


def error(got, want) -> float:
    difference = np.asarray(got) - np.asarray(want)
    return float(np.linalg.norm(difference) / np.linalg.norm(want))


@pytest.mark.parametrize("form, chunk", [("sequential", 4), ("associative", 16)])
def test_every_form_is_the_loop(form, chunk):
    with jax.enable_x64(True):
        want = [np.asarray(x) for x in pull(inputs(), SEGMENTS, "naive")]
    assert error(want[0], looped(*inputs(), SEGMENTS)) < 1e-14
    got = pull(inputs(np.float32), SEGMENTS, form, chunk)
    assert error(got[0], want[0]) < 2e-6
    assert all(error(one, two) < 1e-5 for one, two in zip(got, want, strict=True))
    assert not np.asarray(got[0])[SEGMENTS == 0].any()


def test_steps_are_the_scan():
    u, step, rate, write, read = inputs(np.float32)
    h_BND = np.zeros((B, N, D), np.float32)
    for t in range(T):
        now = u[:, t], step[:, t], rate, write[:, t], read[:, t]
        y_BD, h_BND = jax.jit(selective_step)(*now, h_BND)
    want = looped(*inputs(), np.ones_like(SEGMENTS))[:, -1]
    assert error(y_BD, want) < 2e-6


def test_padding_may_hold_anything():
    arrays, spoiled = inputs(np.float32), inputs(np.float32)
    for array in (spoiled[0], spoiled[1], *spoiled[3:]):
        array[SEGMENTS == 0] = np.nan
    got, want = pull(spoiled, SEGMENTS), pull(arrays, SEGMENTS)
    for one, two in zip(got, want, strict=True):
        np.testing.assert_array_equal(one, two)


def test_the_states_of_all_tokens_are_never_held():
    long, many = 2048, 64
    shapes = [(1, long, many)] * 2 + [(many, many)] + [(1, long, many)] * 2
    arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    memory = pull.lower(arrays, None, chunk=64).compile().memory_analysis()
    assert memory.temp_size_in_bytes < long * many * many * 4 / 2


def test_unknown_forms_are_refused():
    with pytest.raises(ValueError, match="'fast'; it must be one of naive"):
        selective_scan(*map(jnp.asarray, inputs(np.float32)), implementation="fast")
