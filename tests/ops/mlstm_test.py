"""mLSTM: every form against the unstabilised recurrence written out in numpy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from attn_research.ops import mlstm as forms
from attn_research.ops.mlstm import matrix_lstm, mlstm_start, mlstm_step

B, H, K, E, T = 2, 2, 3, 4, 37
SEGMENTS = np.stack([np.repeat([0, 1, 0, 2, 3], [2, 11, 3, 1, 20]), np.ones(T, int)])


@functools.cache
def inputs():
    """q, k, v, the logarithms of both gates, and a cotangent, in float64.

    Input gates from e^-40 to e^40: the recurrence as published overflows float32.
    """
    draw = np.random.default_rng(0).standard_normal
    q, k = draw((2, B, T, H, K))
    write = 2 * draw((B, T, H))
    write[:, 7::8] += 40
    write[:, 6::8] -= 40
    log_forget = -np.log1p(np.exp(-draw((B, T, H))))
    log_forget[:, 5::6] -= 60
    return q, k, draw((B, T, H, E)), write, log_forget, draw((B, T, H, E))


def written_out(q, k, v, write, log_forget):
    """Without a stabiliser: the floor of the normaliser is 1. And S in the end."""
    out, last = np.zeros_like(v), np.zeros((B, H, K, E))
    for b, h in np.ndindex(B, H):
        S, n = np.zeros((K, E)), np.zeros(K)
        for t in range(T):
            if t and SEGMENTS[b, t] != SEGMENTS[b, t - 1]:
                S, n = 0 * S, 0 * n
            f, i = np.exp(log_forget[b, t, h]), np.exp(write[b, t, h])
            S = f * S + i * np.outer(k[b, t, h], v[b, t, h])
            n = f * n + i * k[b, t, h]
            query = q[b, t, h]
            out[b, t, h] = query @ S / max(abs(query @ n), 1)
        last[b, h] = S
    return out * (SEGMENTS != 0)[:, :, None, None], last


@functools.partial(jax.jit, static_argnames=("form", "chunk"))
def pull(arrays, ct, form, chunk=64):
    run = functools.partial(
        matrix_lstm, segments_BT=SEGMENTS, chunk=chunk, implementation=form
    )
    out, back = jax.vjp(run, *arrays)
    return out, back(ct)


def narrow(arrays):
    return [np.asarray(a, np.float32) for a in arrays]


def error(got, want) -> float:
    got, want = np.asarray(got, np.float64), np.asarray(want)
    return float(np.linalg.norm(got - want) / (np.linalg.norm(want) or 1))


@functools.cache
def twin():
    """The naive form in float64, on inputs as float32 holds them."""
    with jax.enable_x64(True):
        *arrays, ct = (np.float64(a) for a in narrow(inputs()))
        return jax.tree.map(np.asarray, pull(arrays, ct, "naive"))


def test_the_twin_is_the_written_out_recurrence():
    with jax.enable_x64(True):
        *arrays, ct = inputs()
        out, _ = pull(arrays, ct, "naive")
    assert error(out, written_out(*arrays)[0]) < 1e-13


@pytest.mark.parametrize(
    "form, chunk",
    [pytest.param("recurrent", 1, marks=pytest.mark.slow), ("chunked", 16)],
)
def test_every_form_is_the_twin(form, chunk):
    *arrays, ct = narrow(inputs())
    got, want = pull(arrays, ct, form, chunk), twin()
    assert error(got[0], want[0]) < 2e-6
    for gradient, true in zip(got[1], want[1], strict=True):
        assert error(gradient, true) < 1e-5


@pytest.mark.parametrize(
    "chunk", [None, 5, *(pytest.param(C, marks=pytest.mark.slow) for C in (1, 64))]
)
def test_every_form_ends_in_the_same_state(chunk):
    arrays = narrow(inputs()[:-1])
    _, want = written_out(*(np.float64(a) for a in arrays))
    form = functools.partial(forms._recurrent, segments_BT=SEGMENTS)
    if chunk is not None:
        form = functools.partial(forms._chunked, segments_BT=SEGMENTS, chunk=chunk)
    _, (state, m) = jax.jit(form)(*arrays)
    assert error(np.float64(state[..., :-1]) * np.exp(m)[..., None, None], want) < 4e-6


def test_step_by_step_is_the_recurrence():
    *arrays, _ = narrow(inputs())
    state, outs = mlstm_start(B, H, K, E, jnp.bfloat16), []
    assert {leaf.dtype for leaf in state} == {np.dtype(np.float32)}
    step = jax.jit(mlstm_step)
    for t in range(T):
        out, state = step(*(a[:, t] for a in arrays), state)
        outs.append(out)
    assert error(jnp.stack(outs, 1), jax.jit(matrix_lstm)(*arrays)) < 2e-6


@pytest.mark.parametrize("form", ["naive", "recurrent", "chunked"])
def test_gates_beyond_the_range_of_float32_stay_finite(form):
    q, k, v, write, forget, ct = narrow(inputs())
    for gate, strength in ((1e4, 1), (1e30, 1e30), (0, 0)):
        scales = 1, 1, 1, np.float32(gate), np.float32(strength)
        arrays = [a * s for a, s in zip((q, k, v, write, forget), scales, strict=True)]
        got = pull(arrays, ct, form, 16)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(got))


def test_padding_is_zero_whatever_it_holds():
    *arrays, ct = narrow(inputs())
    want, _ = pull(arrays, ct, "chunked", 16)
    for a in arrays:
        a[SEGMENTS == 0] = np.nan
    out, gradients = pull(arrays, ct, "chunked", 16)
    np.testing.assert_array_equal(out, want)
    for leaf in (out, *gradients):
        assert not np.asarray(leaf)[SEGMENTS == 0].any()


@pytest.mark.slow
def test_gradients_of_both_orders_by_finite_differences():
    with jax.enable_x64(True):
        arrays = [a[:1, 8:13] for a in inputs()[:-1]]
        run = jax.jit(functools.partial(matrix_lstm, chunk=2))
        check_grads(run, arrays, 2, ["rev"], atol=1e-6, rtol=1e-6)


def test_unknown_forms_and_empty_chunks_are_refused():
    q, gate = jnp.ones((1, 2, 1, 1)), jnp.zeros((1, 2, 1))
    with pytest.raises(ValueError, match="'fast'; it must be one of naive"):
        matrix_lstm(q, q, q, gate, gate, implementation="fast")
    with pytest.raises(ValueError, match="at least 1"):
        matrix_lstm(q, q, q, gate, gate, chunk=0)


@pytest.mark.parametrize("form", ["naive", "recurrent", "chunked"])
def test_a_query_of_zero_reads_nothing_after_a_huge_gate(form):
    """exp(-m) underflows there: the output is 0 / 1, and not 0 / 0."""
    q = np.ones((1, 5, 1, 2), np.float32)
    q[:, 3] = 0
    k = v = np.ones_like(q)
    write = np.full((1, 5, 1), 200, np.float32)

    @jax.jit
    def pulled(q, k, v, write):
        def run(*arrays):
            return matrix_lstm(
                *arrays, jnp.full_like(write, -0.1), implementation=form, chunk=2
            )

        out, back = jax.vjp(run, q, k, v, write)
        return out, back(jnp.ones_like(out))

    out, gradients = pulled(q, k, v, write)
    np.testing.assert_allclose(out[:, [0, 1, 2, 4]], 1, rtol=1e-5)
    assert not np.asarray(out)[:, 3].any()
    assert all(np.isfinite(gradient).all() for gradient in gradients)
