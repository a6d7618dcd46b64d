"""The delta rule: every form against the recurrence written out in numpy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from attn_research.ops.delta import delta_rule, delta_start, delta_step

B, H, K, E, T = 2, 2, 3, 4, 37
SEGMENTS = np.stack([np.repeat([0, 1, 0, 2, 3], [2, 11, 3, 1, 20]), np.ones(T, int)])
KINDS = ("plain", "decay")


@functools.cache
def inputs(kind: str):
    """q, k of length 1, v, beta in (0, 2), log decays where wanted, a cotangent."""
    draw = np.random.default_rng(0).standard_normal
    q, k = draw((2, B, T, H, K))
    k /= np.linalg.norm(k, axis=-1, keepdims=True)
    beta = 2 / (1 + np.exp(-draw((B, T, H))))
    log_decay = -np.exp(draw((B, T, H)))
    log_decay[:, 5::6] -= 300
    decays = (log_decay,) if kind == "decay" else ()
    return q, k, draw((B, T, H, E)), beta, *decays, draw((B, T, H, E))


def written_out(q, k, v, beta, log_decay=None):
    """S' = a (I - beta k k^T) S + beta k v^T, token by token."""
    out = np.zeros_like(v)
    for b, h in np.ndindex(B, H):
        S = np.zeros((K, E))
        for t in range(T):
            if t and SEGMENTS[b, t] != SEGMENTS[b, t - 1]:
                S = 0 * S
            a = 1 if log_decay is None else np.exp(log_decay[b, t, h])
            key, share = k[b, t, h], beta[b, t, h]
            erase = np.eye(K) - share * np.outer(key, key)
            S = a * erase @ S + share * np.outer(key, v[b, t, h])
            out[b, t, h] = q[b, t, h] @ S
    return out * (SEGMENTS != 0)[:, :, None, None]


@functools.partial(jax.jit, static_argnames=("form", "chunk"))
def pull(arrays, ct, form, chunk=64):
    def run(q, k, v, beta, log_decay=None):
        return delta_rule(
            q, k, v, beta, log_decay_BTH=log_decay, segments_BT=SEGMENTS,
            chunk=chunk, implementation=form,
        )  # fmt: skip

    out, back = jax.vjp(run, *arrays)
    return out, back(ct)


def narrow(arrays):
    return [np.asarray(a, np.float32) for a in arrays]


def error(got, want) -> float:
    got, want = np.asarray(got, np.float64), np.asarray(want)
    return float(np.linalg.norm(got - want) / (np.linalg.norm(want) or 1))


@functools.cache
def twin(kind: str):
    with jax.enable_x64(True):
        *arrays, ct = inputs(kind)
        return jax.tree.map(np.asarray, pull(arrays, ct, "naive"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_twin_is_the_written_out_recurrence(kind):
    assert error(twin(kind)[0], written_out(*inputs(kind)[:-1])) < 1e-13


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "form, chunk",
    [pytest.param("recurrent", 1, marks=pytest.mark.slow), ("chunked", 16)],
)
def test_every_form_is_the_twin(kind, form, chunk):
    *arrays, ct = narrow(inputs(kind))
    got, want = pull(arrays, ct, form, chunk), twin(kind)
    assert error(got[0], want[0]) < 2e-6
    for gradient, true in zip(got[1], want[1], strict=True):
        assert error(gradient, true) < 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_step_by_step_is_the_recurrence(kind):
    q, k, v, beta, *decays, _ = narrow(inputs(kind))
    state, outs = delta_start(B, H, K, E, jnp.bfloat16), []
    assert state.dtype == jnp.float32
    step = jax.jit(delta_step)
    for t in range(T):
        decay = decays[0][:, t] if decays else None
        out, state = step(
            q[:, t], k[:, t], v[:, t], beta[:, t], state, log_decay_BH=decay
        )
        outs.append(out)
    alone = jax.jit(delta_rule)(
        q, k, v, beta, log_decay_BTH=decays[0] if decays else None
    )
    assert error(jnp.stack(outs, 1), alone) < 2e-6


def test_a_key_written_with_beta_one_is_read_back():
    """The last value of a key replaces the earlier ones: no sum of both."""
    k = np.tile(np.eye(2, dtype=np.float32), (3, 1))[None, :, None]
    v = np.arange(6, dtype=np.float32)[None, :, None, None]
    run = jax.jit(functools.partial(delta_rule, chunk=4))
    out = run(k, k, v, np.ones((1, 6, 1), np.float32))
    np.testing.assert_allclose(out, v, atol=1e-6)


def test_beta_two_turns_the_sign_of_what_is_held():
    """The parity of a word of ones: a state with eigenvalue -1 counts for ever."""
    T = 1001
    k, v = np.ones((1, T, 1, 1), np.float32), np.zeros((1, T, 1, 1), np.float32)
    v[:, 0] = 0.5
    out = np.asarray(jax.jit(delta_rule)(k, k, v, 2 * k[..., 0]))[0, :, 0, 0]
    np.testing.assert_allclose(out, (-1.0) ** np.arange(T), atol=1e-6)


def test_padding_is_zero_whatever_it_holds():
    *arrays, ct = narrow(inputs("decay"))
    want, _ = pull(arrays, ct, "chunked", 16)
    for a in arrays:
        a[SEGMENTS == 0] = np.nan
    out, gradients = pull(arrays, ct, "chunked", 16)
    np.testing.assert_array_equal(out, want)
    for leaf in (out, *gradients):
        assert not np.asarray(leaf)[SEGMENTS == 0].any()


def test_extreme_inputs_stay_finite():
    q, k, v, beta, decay, ct = narrow(inputs("decay"))
    for value, strength in ((1e30, 1), (0, 1e30), (1e-40, 0)):
        arrays = q, k, v * np.float32(value), beta, decay * np.float32(strength)
        got = pull(arrays, ct, "chunked", 16)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(got))


def test_long_sequences_keep_their_digits():
    draw = np.random.default_rng(0).standard_normal
    T = 16_384
    q, k, v = draw((3, 1, T, 1, 8))
    k /= np.linalg.norm(k, axis=-1, keepdims=True)
    arrays = q, k, v, 2 / (1 + np.exp(-draw((1, T, 1))))
    run = jax.jit(delta_rule, static_argnames="implementation")
    got = run(*narrow(arrays))
    with jax.enable_x64(True):
        assert error(got, run(*arrays, implementation="recurrent")) < 2e-6


@pytest.mark.slow
def test_gradients_of_both_orders_by_finite_differences():
    with jax.enable_x64(True):
        arrays = [a[:1, 30:35] for a in inputs("decay")[:-1]]

        @jax.jit
        def run(q, k, v, beta, log_decay):
            return delta_rule(q, k, v, beta, log_decay_BTH=log_decay, chunk=2)

        check_grads(run, arrays, 2, ["rev"], atol=1e-6, rtol=1e-6)


def test_unknown_forms_and_empty_chunks_are_refused():
    q, beta = jnp.ones((1, 2, 1, 1)), jnp.ones((1, 2, 1))
    with pytest.raises(ValueError, match="'fast'; it must be one of naive"):
        delta_rule(q, q, q, beta, implementation="fast")
    with pytest.raises(ValueError, match="at least 1"):
        delta_rule(q, q, q, beta, chunk=0)
