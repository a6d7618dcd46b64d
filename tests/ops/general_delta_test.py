"""The generalised delta rule: every form against the recurrence in numpy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from attn_research.ops import chunks
from attn_research.ops.delta import (
    delta_start,
    generalized_delta_rule,
    generalized_delta_step,
)
from attn_research.ops.delta.chunked import chunked
from attn_research.ops.delta.general import _token, scanned

B, H, K, E, T = 2, 2, 3, 4, 37
SEGMENTS = np.stack(
    [np.repeat([0, 1, 0, 7, 3, 4, 9, 2], [2, 9, 3, 1, 5, 4, 6, 7]), np.ones(T, int)]
)
# Updates of a token, channels of a decay, whether keys to remove are their own, the
# most that a strength is, and whether each channel has one.
KINDS = {
    "kda": (1, K, False, 1, False),
    "gdn2": (1, K, False, 1, True),
    "deltaproduct": (2, 0, False, 2, False),
    "gated_deltaproduct": (3, 1, False, 2, False),
    "rwkv7": (1, K, True, 1, True),
    "all of it": (2, K, True, 1.5, True),
}
QUICK = "kda", "gated_deltaproduct", "all of it"


def some(kinds):
    slow = pytest.mark.slow
    return [pytest.param(one, marks=() if one in QUICK else slow) for one in kinds]


@functools.cache
def inputs(kind: str):
    """q, k, v, erase, remove or None, log decay or None, and a cotangent."""
    J, channels, own, most, each = KINDS[kind]
    draw = np.random.default_rng(0).standard_normal
    q, k = draw((B, T, H, K)), draw((B, T, J, H, K))
    k /= np.linalg.norm(k, axis=-1, keepdims=True)
    erase = k * most / (1 + np.exp(-draw((B, T, J, H, K if each else 1))))
    remove = k * 0.9 + 0.1 * draw(k.shape) if own else None
    log_decay = -np.exp(draw((B, T, H, channels))) if channels else None
    if log_decay is not None:
        log_decay[:, 5::6] -= 300
    v, ct = draw((B, T, J, H, E)), draw((B, T, H, E))
    return (q, k, v, erase, remove, log_decay), ct


def written_out(q, k, v, erase, remove, log_decay):
    """S = (I - r e^T) ... (I - r e^T) diag(a) S + ..., and the final states."""
    remove = k if remove is None else remove
    out, last = np.zeros((B, T, H, E)), np.zeros((B, H, K, E))
    for b, h in np.ndindex(B, H):
        S = np.zeros((K, E))
        for t in range(T):
            if t and SEGMENTS[b, t] != SEGMENTS[b, t - 1]:
                S = 0 * S
            if log_decay is not None:
                S = np.exp(log_decay[b, t, h])[:, None] * S
            for j in range(k.shape[2]):
                erased = np.outer(remove[b, t, j, h], erase[b, t, j, h] @ S)
                S = S - erased + np.outer(k[b, t, j, h], v[b, t, j, h])
            out[b, t, h] = q[b, t, h] @ S
        last[b, h] = S
    return out * (SEGMENTS != 0)[:, :, None, None], last


def call(q, k, v, erase, remove, log_decay, **more):
    return generalized_delta_rule(
        q, k, v, erase, remove_BTJHK=remove, log_decay_BTHK=log_decay, **more
    )


@functools.partial(jax.jit, static_argnames=("form", "chunk"))
def pull(arrays, ct, form, chunk=64):
    def run(arrays):
        return call(*arrays, segments_BT=SEGMENTS, chunk=chunk, implementation=form)

    out, back = jax.vjp(run, arrays)
    return out, back(ct)[0]


def narrow(tree):
    return jax.tree.map(lambda a: np.asarray(a, np.float32), tree)


def error(got, want) -> float:
    got, want = np.asarray(got, np.float64), np.asarray(want)
    return float(np.linalg.norm(got - want) / (np.linalg.norm(want) or 1))


@functools.cache
def twin(kind: str):
    with jax.enable_x64(True):
        return jax.tree.map(np.asarray, pull(*inputs(kind), "naive"))


@pytest.mark.parametrize("kind", some(KINDS))
def test_the_twin_is_the_written_out_recurrence(kind):
    want, _ = written_out(*inputs(kind)[0])
    assert error(twin(kind)[0], want) < 1e-13


@pytest.mark.parametrize("kind", some(KINDS))
def test_its_gradients_are_slopes_of_the_written_out_recurrence(kind):
    arrays, ct = inputs(kind)
    for n, gradient in enumerate(twin(kind)[1]):
        if gradient is None:
            continue
        way = np.random.default_rng(n).standard_normal(gradient.shape)
        # A row of decays near exp(-300) has a slope of zero either way.
        ends = []
        for step in (1e-6, -1e-6):
            moved = [*arrays]
            moved[n] = arrays[n] + step * way
            ends.append((written_out(*moved)[0] * ct).sum())
        slope, want = (ends[0] - ends[1]) / 2e-6, (gradient * way).sum()
        assert abs(slope - want) < 1e-6 * np.linalg.norm(gradient * way)


@pytest.mark.parametrize("kind", some(KINDS))
@pytest.mark.parametrize(
    "form, chunk",
    [
        ("chunked", 16),
        *(
            pytest.param(form, chunk, marks=pytest.mark.slow)
            for form, chunk in (("recurrent", 1), ("chunked", 5), ("chunked", 64))
        ),
    ],
)
def test_every_form_is_the_twin(kind, form, chunk):
    arrays, ct = narrow(inputs(kind))
    got, want = pull(arrays, ct, form, chunk), twin(kind)
    assert error(got[0], want[0]) < 2e-6
    for gradient, true in zip(*map(jax.tree.leaves, (got[1], want[1])), strict=True):
        assert error(gradient, true) < 1e-5


@pytest.mark.parametrize("kind", some(KINDS))
@pytest.mark.parametrize(
    "chunk", [8, *(pytest.param(C, marks=pytest.mark.slow) for C in (None, 1, 64))]
)
def test_every_form_ends_in_the_same_state(kind, chunk):
    arrays = inputs(kind)[0]
    want, last = written_out(*arrays)

    @jax.jit
    def run(arrays):
        arrays = [None if x is None else chunks.real(x, SEGMENTS) for x in arrays]
        if chunk is None:
            return scanned(_token, tuple(arrays), SEGMENTS)
        return chunked(tuple(arrays), SEGMENTS, chunk)

    out, state = run(narrow(arrays))
    assert error(state, last) < 2e-6
    real = SEGMENTS != 0
    assert error(np.asarray(out)[real], want[real]) < 2e-6


@pytest.mark.parametrize("kind", some(KINDS))
def test_step_by_step_is_the_recurrence(kind):
    q, k, v, erase, remove, log_decay = narrow(inputs(kind)[0])
    state, outs = delta_start(B, H, K, E, jnp.bfloat16), []
    step = jax.jit(generalized_delta_step)
    for t in range(T):
        more = {"remove_BJHK": remove, "log_decay_BHK": log_decay}
        more = {name: None if x is None else x[:, t] for name, x in more.items()}
        out, state = step(q[:, t], k[:, t], v[:, t], erase[:, t], state, **more)
        outs.append(out)
    # The last row is one segment.
    assert error(np.stack(outs, 1)[1], written_out(*inputs(kind)[0])[0][1]) < 2e-6


def test_padding_is_zero_whatever_it_holds():
    arrays, ct = narrow(inputs("all of it"))
    want, _ = pull(arrays, ct, "chunked", 16)
    arrays = [np.where((SEGMENTS == 0).reshape(B, T, *[1] * (a.ndim - 2)), np.nan, a)
              for a in arrays]  # fmt: skip
    out, gradients = pull(tuple(narrow(arrays)), ct, "chunked", 16)
    np.testing.assert_array_equal(out, want)
    for leaf in (out, *gradients):
        assert not np.asarray(leaf)[SEGMENTS == 0].any()


def test_extreme_inputs_stay_finite():
    (q, k, v, erase, remove, decay), ct = narrow(inputs("all of it"))
    for value, strength in ((1e30, 1), (0, 1e30), (1e-40, 0)):
        arrays = (
            q,
            k,
            v * np.float32(value),
            erase,
            remove,
            decay * np.float32(strength),
        )
        got = pull(arrays, ct, "chunked", 16)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(got))


def long(length: int, strong: bool):
    """Arrays of the shape of KDA: decays up to exp(-0.01), or down to exp(-100)."""
    draw = np.random.default_rng(0).standard_normal
    q, k, v = draw((3, 1, length, 1, 8))
    k /= np.linalg.norm(k, axis=-1, keepdims=True)
    log_decay = -np.exp(draw((1, length, 1, 8)) * 2 + (0 if strong else -6))
    log_decay = np.maximum(log_decay, -100)
    beta = 2 / (1 + np.exp(-draw((1, length, 1, 1))))
    return q, k[:, :, None], (beta * v)[:, :, None], (beta * k)[:, :, None], log_decay


@functools.partial(jax.jit, static_argnames="form")
def pull_long(arrays, ct, form):
    def run(q, k, v, erase, log_decay):
        return call(q, k, v, erase, None, log_decay, implementation=form)

    out, back = jax.vjp(run, *arrays)
    return out, back(ct)


@pytest.mark.slow
def test_sixty_five_thousand_tokens_keep_their_digits():
    """In value and gradient, with beta up to 2 and decays per channel."""
    length = 65_536
    arrays = long(length, strong=False)
    ct = np.random.default_rng(1).standard_normal((1, length, 1, 8))
    got = pull_long(narrow(arrays), narrow(ct), "chunked")
    with jax.enable_x64(True):
        want = jax.tree.map(np.asarray, pull_long(arrays, ct, "recurrent"))
    assert error(got[0], want[0]) < 2e-6
    for gradient, true in zip(got[1], want[1], strict=True):
        assert error(gradient, true) < 1e-5


@pytest.mark.slow
def test_strong_decays_in_bfloat16_lose_only_the_rounding_of_the_inputs():
    length = 4096
    arrays = [jnp.asarray(a, jnp.bfloat16) for a in long(length, strong=True)]
    ct = np.random.default_rng(1).standard_normal((1, length, 1, 8))
    got = pull_long(tuple(arrays), jnp.asarray(ct, jnp.bfloat16), "chunked")
    with jax.enable_x64(True):
        exact = [np.asarray(a, np.float64) for a in arrays]
        ct = np.asarray(jnp.asarray(ct, jnp.bfloat16), np.float64)
        want = jax.tree.map(np.asarray, pull_long(tuple(exact), ct, "recurrent"))
    for one, true in zip(*map(jax.tree.leaves, (got, want)), strict=True):
        assert one.dtype == jnp.bfloat16
        # Results are rounded to 8 bits once: a relative error of at most 2^-9.
        assert error(one.astype(jnp.float32), true) < 2**-8


@pytest.mark.slow
def test_the_memory_of_the_backward_is_linear_in_the_length():
    """Twice for twice the length; and far below a state for each token."""
    sizes, heads, size = [], 2, 32
    for length in (2048, 4096):
        shape = jax.ShapeDtypeStruct((1, length, heads, size), jnp.float32)
        one = jax.ShapeDtypeStruct((1, length, 1, heads, size), jnp.float32)
        made = pull_long.lower(
            (shape, one, one, one, shape), shape, "chunked"
        ).compile()
        sizes.append(made.memory_analysis().temp_size_in_bytes)
    assert sizes[1] < 2.1 * sizes[0]
    assert sizes[1] < 4096 * heads * size * size * 4 / 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_both_orders_by_finite_differences(kind):
    with jax.enable_x64(True):
        arrays = [a for a in inputs(kind)[0]]
        given = [n for n, a in enumerate(arrays) if a is not None]

        @jax.jit
        def run(*some):
            cut = [None] * len(arrays)
            for n, array in zip(given, some, strict=True):
                cut[n] = array
            return call(*cut, chunk=2)

        few = [arrays[n][:1, 30:34] for n in given]
        check_grads(run, few, 2, ["rev"], atol=1e-6, rtol=1e-6)


def test_unknown_forms_and_empty_chunks_are_refused():
    q, k = jnp.ones((1, 2, 1, 1)), jnp.ones((1, 2, 1, 1, 1))
    with pytest.raises(ValueError, match="'fast'; it must be one of naive"):
        generalized_delta_rule(q, k, k, k, implementation="fast")  # type: ignore
    with pytest.raises(ValueError, match="at least 1"):
        generalized_delta_rule(q, k, k, k, chunk=0)
