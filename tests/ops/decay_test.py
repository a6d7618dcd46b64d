"""Decays that depend on the token: the forms against a recurrence written in numpy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from attn_research.ops.linear import attention as forms
from attn_research.ops.linear import linear_attention, linear_start, linear_step

B, H, M, E, T = 2, 2, 3, 4, 37
SHAPES = {"scalar": (B, T, H), "channel": (B, T, H, M)}
SEGMENTS = np.stack([np.repeat([0, 1, 0, 2, 3], [2, 11, 3, 1, 20]), np.ones(T, int)])


@functools.cache
def inputs(kind: str, strength: float = 1.0):
    """q, k, v, the logarithms of decays before and after, and a cotangent: float64.

    Of every sixth token the state is all but lost, whatever the strength of the others.
    """
    draw = np.random.default_rng(0).standard_normal
    q, k = np.exp(draw((2, B, T, H, M)) / 2)
    decays = -strength * np.exp(draw((2, *SHAPES[kind])))
    decays[:, :, 5::6] -= 300
    return q, k, draw((B, T, H, E)), decays[0], decays[1], draw((B, T, H, E))


def written_out(q, k, v, log_decay, segments, strict=False):
    """h_t = decay_t h_{t-1} + k_t v_t, token by token, and the states it ends in."""
    out = np.zeros_like(v)
    last = np.zeros((B, H, M, E))
    for b, h in np.ndindex(B, H):
        state = np.zeros((M, E))
        for t in range(T):
            if t and segments[b, t] != segments[b, t - 1]:
                state = 0 * state
            # A number or a column: one decay of the head, or one for each feature.
            faded = np.exp(log_decay[b, t, h].reshape(-1, 1)) * state
            state = faded + np.outer(k[b, t, h], v[b, t, h])
            out[b, t, h] = q[b, t, h] @ (faded if strict else state)
        last[b, h] = state
    return out * (segments != 0)[:, :, None, None], last


def both_ways(q, k, v, before, after, segments):
    turned = [x[:, ::-1] for x in (q, k, v, after, segments)]
    past, _ = written_out(q, k, v, before, segments)
    future, _ = written_out(*turned, strict=True)
    return past + future[:, ::-1]


@functools.partial(jax.jit, static_argnames=("causal", "form", "chunk"))
def pull(q, k, v, before, after, ct, causal, form, chunk=64):
    def run(q, k, v, before, after):
        return linear_attention(
            q, k, v, causal=causal, log_decay=before, log_decay_after=after,
            segments_BT=SEGMENTS, chunk=chunk, implementation=form,
        )  # fmt: skip

    out, back = jax.vjp(run, q, k, v, before, after)
    return out, back(ct)


def narrow(arrays):
    return [np.asarray(a, np.float32) for a in arrays]


def error(got, want) -> float:
    got, want = np.asarray(got, np.float64), np.asarray(want)
    return float(np.linalg.norm(got - want) / (np.linalg.norm(want) or 1))


@functools.cache
def twin(kind: str, causal: bool, strength: float = 1.0):
    with jax.enable_x64(True):
        got = pull(*inputs(kind, strength), causal, "naive")
        return jax.tree.map(np.asarray, got)


@pytest.mark.parametrize("kind", SHAPES)
def test_the_twin_is_the_written_out_recurrence(kind):
    *arrays, before, after, _ = inputs(kind)
    want, _ = written_out(*arrays, before, SEGMENTS)
    assert error(twin(kind, True)[0], want) < 1e-14
    want = both_ways(*arrays, before, after, SEGMENTS)
    assert error(twin(kind, False)[0], want) < 1e-14


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize(
    "form, chunk, causal",
    [
        pytest.param("recurrent", 1, False, marks=pytest.mark.slow),
        pytest.param("chunked", 5, True, marks=pytest.mark.slow),
        ("chunked", 16, False),
    ],
)
def test_every_form_is_the_twin(kind, form, chunk, causal):
    got = pull(*narrow(inputs(kind)), causal, form, chunk)
    want = twin(kind, causal)
    assert error(got[0], want[0]) < 2e-6
    for gradient, true in zip(got[1], want[1], strict=True):
        assert error(gradient, true) < 1e-5


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize(
    "chunk", [None, 5, *(pytest.param(C, marks=pytest.mark.slow) for C in (1, 64))]
)
def test_every_form_ends_in_the_same_state(kind, chunk):
    q, k, v, decay, _, _ = inputs(kind)
    _, want = written_out(q, k, v, decay, SEGMENTS)
    form = forms._recurrent
    if chunk is not None:
        form = functools.partial(forms.chunked, chunk=chunk)
    q, k, v, decay = narrow((q, k, v, decay))
    run = jax.jit(functools.partial(form, strict=False))
    _, (state,) = run(q, k, (v,), decay, SEGMENTS)
    assert error(state, want) < 2e-6


@pytest.mark.parametrize("kind", SHAPES)
def test_strong_decays_cost_the_weak_ones_no_digits(kind):
    """Beside a decay of e^-300 a difference of cumulative sums has four digits left."""
    strong = pull(*narrow(inputs(kind, 1e-2)), True, "chunked")
    want = twin(kind, True, 1e-2)
    assert error(strong[0], want[0]) < 2e-6
    *arrays, before, after, ct = inputs(kind)
    for scale in (1e4, 1e30):
        got = pull(*narrow((*arrays, before * scale, after, ct)), True, "chunked")
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(got))


@pytest.mark.parametrize("kind", SHAPES)
def test_step_by_step_is_the_causal_sum(kind):
    q, k, v, decay, _, _ = narrow(inputs(kind))
    state, outs = linear_start(B, H, M, E, False, jnp.float32), []
    step = jax.jit(linear_step)
    for t in range(T):
        out, state = step(q[:, t], k[:, t], v[:, t], state, log_decay=decay[:, t])
        outs.append(out)
    want = jax.jit(linear_attention)(q, k, v, log_decay=decay)
    assert error(jnp.stack(outs, 1), want) < 2e-6


@pytest.mark.slow
@pytest.mark.parametrize("kind", SHAPES)
def test_gradients_of_both_orders_by_finite_differences(kind):
    with jax.enable_x64(True):
        q, k, v, before, after, _ = (a[:1, 30:35] for a in inputs(kind))
        run = functools.partial(linear_attention, causal=False, chunk=2)

        @jax.jit
        def sums(q, k, v, before, after):
            return run(q, k, v, log_decay=before, log_decay_after=after)

        check_grads(sums, (q, k, v, before, after), 2, ["rev"], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("form", ["naive", "recurrent", "chunked"])
def test_queries_and_keys_of_one_head_serve_all(form):
    q, k, v, decay, _, ct = narrow(inputs("scalar"))
    run = functools.partial(linear_attention, implementation=form, chunk=16)

    @functools.partial(jax.jit, static_argnames="heads")
    def shared(q, k, v, decay, heads):
        q, k = (jnp.broadcast_to(x, (B, T, heads, M)) for x in (q, k))
        out, back = jax.vjp(lambda *a: run(*a[:3], log_decay=a[3]), q, k, v, decay)
        dq, dk, dv, decays = back(ct)
        return out, dq.sum(2), dk.sum(2), dv, decays

    one = shared(q[:, :, :1], k[:, :, :1], v, decay, heads=1)
    two = shared(q[:, :, :1], k[:, :, :1], v, decay, heads=H)
    for got, want in zip(one, two, strict=True):
        assert error(got, want) < 2e-6


def test_a_decay_of_another_shape_is_refused():
    q = jnp.ones((1, 2, 3, 4))
    with pytest.raises(ValueError, match=r"\(2,\); it must be \(3,\), \(1, 2, 3\) or"):
        linear_attention(q, q, q, log_decay=jnp.zeros(2))
