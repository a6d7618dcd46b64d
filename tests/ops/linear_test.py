"""Linear attention: the twin is the written-out sum, every form is the twin."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from attn_research.ops.features import elu_plus_one
from attn_research.ops.linear import attention as forms
from attn_research.ops.linear import linear_attention, linear_start, linear_step

B, H, M, E = 2, 2, 3, 4
BEFORE, AFTER = np.log([0.9, 0.5]), np.log([0.7, 0.99])


def inputs(T: int, seed: int = 0):
    """q, k (positive features) and v in float64."""
    draw = np.random.default_rng(seed).standard_normal
    q, k = np.exp(draw((2, B, T, H, M)) / 2)
    return q, k, draw((B, T, H, E))


def packed(T: int) -> np.ndarray:
    """A row of padding, a sequence, padding, two sequences; and a full row."""
    row = np.zeros(T, np.int32)
    row[T // 8 : T // 3], row[T // 2 : T // 2 + T // 4], row[T // 2 + T // 4 :] = (
        1,
        2,
        3,
    )
    return np.stack([row, np.ones(T, np.int32)])


def written_out(q, k, v, causal, decays, normalize, segments):
    """The definition, a sum for each output, in numpy."""
    out = np.zeros_like(v)
    for b, t, h in np.ndindex(*q.shape[:3]):
        total, weights = np.zeros(E), 0.0
        for s in range(q.shape[1]):
            if segments[b, s] != segments[b, t] or not segments[b, t]:
                continue
            if s > t and causal:
                continue
            log_decay = decays[0][h] if s <= t else decays[1][h]
            weight = np.exp(log_decay * abs(t - s)) * (q[b, t, h] @ k[b, s, h])
            total, weights = total + weight * v[b, s, h], weights + weight
        out[b, t, h] = total / weights if normalize and weights else total
    return out


@functools.partial(jax.jit, static_argnames=("causal", "normalize", "form", "chunk"))
def pull(q, k, v, decays, segments, ct, causal, normalize, form, chunk):
    """The output, and the gradients of its product with ct."""

    def run(q, k, v, decays):
        return linear_attention(
            q, k, v, causal=causal, log_decay=decays[0], log_decay_after=decays[1],
            normalize=normalize, segments_BT=segments, chunk=chunk, implementation=form,
        )  # fmt: skip

    out, back = jax.vjp(run, q, k, v, decays)
    return out, back(ct)


def error(got, want) -> float:
    got, want = np.asarray(got, np.float64), np.asarray(want)
    return float(np.linalg.norm(got - want) / (np.linalg.norm(want) or 1))


@functools.cache
def twin(T: int, causal: bool, normalize: bool):
    with jax.enable_x64(True):
        arguments = *inputs(T), (BEFORE, AFTER), packed(T), inputs(T, 1)[2]
        got = pull(*arguments, causal, normalize, "naive", 64)
        return jax.tree.map(np.asarray, got)


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("causal", [True, False])
def test_the_twin_is_the_written_out_sum(causal, normalize):
    out, _ = twin(17, causal, normalize)
    want = written_out(*inputs(17), causal, (BEFORE, AFTER), normalize, packed(17))
    assert error(out, want) < 1e-14


@pytest.mark.parametrize(
    "form, chunk, causal, T",
    [
        ("recurrent", 1, True, 17),
        ("recurrent", 1, False, 17),
        ("chunked", 1, True, 17),
        ("chunked", 5, False, 17),
        ("chunked", 16, True, 65),
        ("chunked", 16, False, 65),
        pytest.param("chunked", 64, False, 65, marks=pytest.mark.slow),
        ("chunked", 64, True, 1),
    ],
)
def test_every_form_is_the_twin(form, chunk, causal, T):
    float32 = functools.partial(np.asarray, dtype=np.float32)
    q, k, v, ct = map(float32, (*inputs(T), inputs(T, 1)[2]))
    decays = float32(BEFORE), float32(AFTER)
    # One token divided by its own weight has no gradient to compare.
    normalize = T > 1
    got = pull(q, k, v, decays, packed(T), ct, causal, normalize, form, chunk)
    want = twin(T, causal, normalize)
    assert error(got[0], want[0]) < 2e-6
    for gradient, true in zip(
        jax.tree.leaves(got[1]), jax.tree.leaves(want[1]), strict=True
    ):
        assert error(gradient, true) < 1e-5


@pytest.mark.parametrize("chunk", [None, 1, 5, 16, 64, 66])
def test_every_form_ends_in_the_state_of_its_last_segment(chunk):
    T = 65
    q, k, v = inputs(T)
    segments = packed(T)
    faded = np.exp(BEFORE[None] * np.arange(T)[::-1, None])
    last = segments == segments[:, -1:]
    want = np.einsum("BTHM,BTHE,TH,BT->BHME", k, v, faded, last)
    form = forms._recurrent
    if chunk is not None:
        form = functools.partial(forms.chunked, chunk=chunk)
    q, k, v, decay = (np.asarray(a, np.float32) for a in (q, k, v, BEFORE))
    run = jax.jit(functools.partial(form, strict=False))
    _, (state,) = run(q, k, (v,), decay, segments)
    assert error(state, want) < 2e-6


@pytest.mark.parametrize("form", ["naive", "recurrent", "chunked"])
def test_extreme_inputs_stay_finite(form):
    q, k, v = inputs(17)
    decays = np.float32(BEFORE), np.float32(AFTER)
    ct = np.ones_like(v, np.float32)
    for features, values in ((1e4, 1.0), (1.0, 1e30), (0.0, 0.0), (1e-40, 1e-40)):
        scaled = [
            np.float32(a * b) for a, b in ((q, features), (k, features), (v, values))
        ]
        for normalize in (True, False):
            got = pull(*scaled, decays, packed(17), ct, False, normalize, form, 4)
            assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(got))


def test_long_sequences_keep_their_digits():
    T = 16_384
    q, k, v = (a[:1, :, :1] for a in inputs(T))
    run = jax.jit(linear_attention, static_argnames=("normalize", "implementation"))
    got = run(*(a.astype(np.float32) for a in (q, k, v)), normalize=True)
    with jax.enable_x64(True):
        want = run(q, k, v, normalize=True, implementation="recurrent")
        assert error(got, want) < 2e-6


def test_the_state_counts_in_float32_for_bfloat16():
    run = jax.jit(linear_attention, static_argnames="implementation")
    ones = jnp.ones((1, 4096, 1, 1), jnp.bfloat16)
    for form in ("recurrent", "chunked"):
        out = run(ones, ones, ones, implementation=form)
        assert out.dtype == jnp.bfloat16
        assert float(np.asarray(out)[0, -1, 0, 0]) == 4096


def test_the_strongest_decay_leaves_the_token_itself():
    q, k, v = (np.asarray(a, np.float32) for a in inputs(17))
    alone = np.einsum("BTHM,BTHM->BTH", q, k)[..., None] * v
    for form in ("naive", "recurrent", "chunked"):

        @jax.jit
        def pulled(log_decay_H, form=form):
            def run(log_decay_H):
                return linear_attention(
                    q, k, v, log_decay=log_decay_H, chunk=4, implementation=form
                )

            out, back = jax.vjp(run, log_decay_H)
            return out, back(out)[0]

        out, slope = pulled(np.full(H, -1e30, np.float32))
        np.testing.assert_allclose(out, alone, rtol=1e-5)
        assert np.isfinite(slope).all()


@pytest.mark.parametrize("form", ["naive", "recurrent", "chunked"])
def test_padding_is_zero_whatever_it_holds(form):
    q, k, v = (np.asarray(a, np.float32) for a in inputs(17))
    segments = packed(17)
    for a in (q, k, v):
        a[segments == 0] = np.nan
    decays = np.float32(BEFORE), np.float32(AFTER)
    out, gradients = pull(q, k, v, decays, segments, v * 0 + 1, False, True, form, 4)
    clean = [np.nan_to_num(a) for a in (q, k, v)]
    want, _ = pull(*clean, decays, segments, clean[2], False, True, form, 4)
    np.testing.assert_array_equal(out, want)
    for leaf in (out, *gradients[:3]):
        assert not np.asarray(leaf)[segments == 0].any()


@pytest.mark.parametrize("normalize", [True, False])
def test_step_by_step_is_the_causal_sum(normalize):
    q, k, v = (np.asarray(a, np.float32) for a in inputs(17))
    log_decay_H = np.asarray(BEFORE, np.float32)
    step = jax.jit(functools.partial(linear_step, log_decay=log_decay_H))
    state, outs = linear_start(B, H, M, E, normalize, jnp.float32), []
    for t in range(17):
        out, state = step(q[:, t], k[:, t], v[:, t], state)
        outs.append(out)
    whole = functools.partial(linear_attention, normalize=normalize)
    want = jax.jit(whole)(q, k, v, log_decay=log_decay_H)
    assert error(np.stack(outs, 1), want) < 2e-6


def test_gradients_of_both_orders_by_finite_differences():
    with jax.enable_x64(True):
        segments = np.asarray([[0, 1, 1, 1, 2]])

        @jax.jit
        def run(q, k, v, log_decay_H):
            return linear_attention(
                q, k, v, log_decay=log_decay_H, normalize=True,
                segments_BT=segments, chunk=2,
            )  # fmt: skip

        q, k, v = (a[:1] for a in inputs(5))
        check_grads(run, (q, k, v, BEFORE), 2, ["rev"], atol=1e-6, rtol=1e-6)


def test_memory_grows_with_the_length_not_its_square():
    T = 4096
    shapes = [jax.ShapeDtypeStruct((1, T, 1, 8), jnp.float32)] * 3
    grad = jax.jit(jax.grad(lambda q, k, v: linear_attention(q, k, v).sum()))
    used = grad.lower(*shapes).compile().memory_analysis().temp_size_in_bytes
    assert used < T * T * 4 / 16


def test_elu_plus_one_is_positive_and_smooth():
    x = np.array([-1e4, -80.0, -1.0, 0.0, 1.0, 1e4], np.float32)
    want = [0.0, np.exp(-80), np.exp(-1), 1.0, 2.0, 10_001]
    found, slope = jax.jit(jax.vmap(jax.value_and_grad(elu_plus_one)))(x)
    np.testing.assert_allclose(found, want, rtol=1e-6)
    np.testing.assert_allclose(slope, np.minimum(want, 1), rtol=1e-6)


def test_unknown_forms_and_empty_chunks_are_refused():
    q = jnp.ones((1, 2, 1, 1))
    with pytest.raises(ValueError, match="'fast'; it must be one of naive"):
        linear_attention(q, q, q, implementation="fast")
    with pytest.raises(ValueError, match="at least 1"):
        linear_attention(q, q, q, chunk=0)
