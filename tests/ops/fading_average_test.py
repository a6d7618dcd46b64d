"""The average of RWKV-4: by definition, in every form, and for keys of any size."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_research.ops.fading_average import wkv, wkv_start, wkv_step

B, T, N = 2, 23, 5
IDS = np.array([[1] * 5 + [2] * 11 + [0] * 7, [3] * 22 + [4]], np.int32)


def arrays(dtype=np.float32, size=1.0):
    """k, v, rates, bonuses, and a cotangent."""
    source = np.random.default_rng(0)
    k, v, rate, bonus, ct = (
        source.standard_normal(shape) for shape in [(B, T, N)] * 2 + [N, N, (B, T, N)]
    )
    return [x.astype(dtype) for x in (size * k, v, np.exp(rate), bonus, ct)]


def loops(k, v, rate, bonus, ids):
    """The definition, a number at a time, in float64; zero at padding."""
    out = np.zeros(v.shape)
    for b, t, n in np.ndindex(v.shape):
        if ids[b, t] == 0:
            continue
        sources = [s for s in range(t) if ids[b, s] == ids[b, t]]
        log = [k[b, s, n] - (t - 1 - s) * rate[n] for s in sources]
        log = np.array([*log, bonus[n] + k[b, t, n]])
        weight = np.exp(log - log.max())
        out[b, t, n] = weight @ v[b, [*sources, t], n] / weight.sum()
    return out


@functools.partial(jax.jit, static_argnums=0)
def pulled(form, ids, k, v, rate, bonus, ct):
    def of(*given):
        return wkv(*given, segments_BT=ids, implementation=form)

    out, back = jax.vjp(of, k, v, rate, bonus)
    return out, *back(ct)


def test_naive_is_the_definition():
    with jax.enable_x64(True):
        *given, ct = arrays(np.float64)
        got, *_ = pulled("naive", IDS, *given, ct)
        np.testing.assert_allclose(got, loops(*given, IDS), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("form", ["sequential", "associative"])
@pytest.mark.parametrize("ids", [None, IDS], ids=["one", "packed"])
def test_sums_in_units_are_the_naive_form_in_float64(form, ids):
    with jax.enable_x64(True):
        want = pulled("naive", ids, *arrays(np.float64))
    for one, two in zip(pulled(form, ids, *arrays()), want, strict=True):
        one, two = np.asarray(one, np.float64), np.asarray(two)
        assert np.linalg.norm(one - two) <= 3e-6 * np.linalg.norm(two)


def test_keys_are_logarithms_of_any_magnitude():
    """Powers of e of which float32 holds neither the largest nor the smallest."""
    *given, ct = arrays(size=300.0)
    got = pulled("sequential", IDS, *given, ct)
    assert all(np.isfinite(x).all() for x in got)
    want = loops(*(np.float64(x) for x in given), IDS)
    np.testing.assert_allclose(got[0], want, rtol=1e-4, atol=1e-5)


def test_steps_give_what_the_whole_sequence_gives():
    k, v, rate, bonus, _ = map(jnp.asarray, arrays())
    state, step, outs = wkv_start(B, N, jnp.bfloat16), jax.jit(wkv_step), []
    assert {x.dtype for x in state} == {jnp.dtype("float32")}
    for t in range(T):
        out, state = step(k[:, t], v[:, t], rate, bonus, state)
        outs.append(out)
    whole = jax.jit(wkv)(k, v, rate, bonus)
    np.testing.assert_allclose(np.stack(outs, 1), whole, rtol=1e-5, atol=1e-6)
