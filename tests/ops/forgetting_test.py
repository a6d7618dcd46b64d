"""Forget gates of attention: by definition, in blocks, and far into a sequence."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_research.ops import dense, flash, selection, sparse
from attn_research.ops.forgetting import fading, so_far
from attn_research.ops.logits import Logits
from attn_research.ops.masks import CAUSAL, FULL, matrix, window
from attn_research.ops.patterns import Globals

B, T, H, G, K, E = 2, 37, 4, 2, 8, 5
IDS = np.array([[1] * 9 + [2] * 21 + [0] * 7, [3] * T], np.int32)


def arrays(dtype=np.float32):
    """q, k, v, the logarithms of gates, sinks, and a cotangent."""
    source = np.random.default_rng(0)
    sizes = (B, T, H, K), (B, T, G, K), (B, T, G, E), (B, T, H), (H,), (B, T, H, E)
    q, k, v, gate, sink_H, ct = (source.standard_normal(size) for size in sizes)
    all_of = q, k, v, -np.logaddexp(0, gate), sink_H, ct
    return [array.astype(dtype) for array in all_of]


def loops(q, k, v, log_forget, sink_H, admit_BTS):
    """The definition, a query at a time, in float64."""
    out = np.zeros((B, T, H, E))
    for b, t, h in np.ndindex(B, T, H):
        score = k[b, :, h // (H // G)] @ q[b, t, h] / np.sqrt(K)
        for s in range(T):
            low, high = min(s, t), max(s, t)
            score[s] += log_forget[b, low + 1 : high + 1, h].sum()
        power = np.exp(score) * admit_BTS[b, t]
        out[b, t, h] = (
            power @ v[b, :, h // (H // G)] / (power.sum() + np.exp(sink_H[h]))
        )
    return out


@functools.partial(jax.jit, static_argnums=(0, 1))
def pulled(form, mask, ids, q, k, v, log_forget, sink_H, ct):
    seen = {"mask": mask, "segments_BT": ids, "source_BS": ids}

    def of(q, k, v, log_forget, sink_H):
        logits = Logits(sink_H=sink_H, log_forget_BTH=log_forget)
        return form(q, k, v, **seen, logits=logits)

    out, back = jax.vjp(of, q, k, v, log_forget, sink_H)
    return out, *back(ct)


@pytest.mark.parametrize("mask", [CAUSAL, window(5, 2)], ids=str)
def test_naive_is_the_definition(mask):
    with jax.enable_x64(True):
        *given, ct = arrays(np.float64)
        got, *_ = pulled(dense.naive, mask, None, *given, ct)
        admit_BTS = np.broadcast_to(matrix(mask, T, T), (B, T, T))
        want = loops(*given, admit_BTS)
        np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("mask", [CAUSAL, FULL, window(6, 0), window(6, 3)], ids=str)
@pytest.mark.parametrize("ids", [None, IDS], ids=["one", "packed"])
def test_blocks_give_what_the_naive_form_gives_in_float64(mask, ids):
    with jax.enable_x64(True):
        want = pulled(dense.naive, mask, ids, *arrays(np.float64))
    blocks = functools.partial(flash.flash_attention, block=7)
    got = pulled(blocks, mask, ids, *arrays())
    for one, two in zip(got, want, strict=True):
        one, two = np.asarray(one, np.float64), np.asarray(two)
        assert np.linalg.norm(one - two) <= 3e-6 * np.linalg.norm(two)


def test_gates_that_no_score_depends_on_have_no_gradient():
    """Not even of rounding: before the window, and in another sequence."""
    blocks = functools.partial(flash.flash_attention, block=7)
    *given, ct = arrays()
    late_BT11 = (np.arange(T) >= 20)[None, :, None, None]
    *_, dgate, _ = pulled(blocks, window(6, 0), None, *given, ct * late_BT11)
    moved_T = np.asarray(dgate).any(axis=(0, 2))
    np.testing.assert_array_equal(moved_T, np.arange(T) >= 15)
    second_BT11 = (IDS == 2)[:, :, None, None]
    *_, dgate, _ = pulled(blocks, CAUSAL, IDS, *given, ct * second_BT11)
    # The gate of the first token of a sequence lies between none of its tokens.
    np.testing.assert_array_equal(
        np.asarray(dgate).any(axis=2)[0], (np.arange(T) > 9) & (np.arange(T) < 30)
    )


def test_differences_keep_their_digits_after_many_tokens():
    """Of a sum of 3e4 a float32 holds steps of 2e-3, of which weights would show."""
    long = 40_000
    noise = np.random.default_rng(1).standard_normal((1, long, 1))
    log_forget_BTH = -np.logaddexp(0, noise).astype(np.float32)
    total_BT2 = np.asarray(jax.jit(so_far)(log_forget_BTH))[:, :, 0]
    wide_T = np.cumsum(np.float64(log_forget_BTH[0, :, 0]))
    assert wide_T[-1] < -3e4
    last = slice(long - 20, long)
    got_TS = fading(jnp.asarray(total_BT2[0, last]), jnp.asarray(total_BT2[0, last]))
    want_TS = -np.abs(wide_T[last, None] - wide_T[None, last])
    np.testing.assert_allclose(got_TS, want_TS, atol=4e-6)
    plain_T = np.cumsum(log_forget_BTH[0, :, 0])
    assert np.abs((plain_T[-1] - plain_T[-20]) - want_TS[-1, 0]) > 1e-4


def test_gates_need_no_matrix():
    def temporaries(length: int) -> int:
        like = jax.ShapeDtypeStruct((1, length, 2, 16), jnp.float32)
        gate = jax.ShapeDtypeStruct((1, length, 2), jnp.float32)

        def loss(q, k, v, log_forget_BTH):
            logits = Logits(log_forget_BTH=log_forget_BTH)
            return dense.attention(
                q, k, v, mask=CAUSAL, logits=logits, implementation="chunked"
            ).sum()

        program = jax.jit(jax.grad(loss, (0, 1, 2, 3))).lower(like, like, like, gate)
        return program.compile().memory_analysis().temp_size_in_bytes

    assert temporaries(8_192) <= 4.5 * temporaries(2_048)


@pytest.mark.parametrize(
    "call, said",
    [
        (
            lambda q, logits: dense.attention(
                q, q, q, logits=logits, implementation="library"
            ),
            "nor forget gates",
        ),
        (
            lambda q, logits: dense.attention(
                q[:, :3], q, q, logits=logits, implementation="naive"
            ),
            "the keys those of the same tokens",
        ),
        (
            lambda q, logits: sparse.sparse_attention(
                q, q, q, mask=Globals(2) | window(3, 0), logits=logits
            ),
            "must be causal, full or a window",
        ),
        (
            lambda q, logits: selection.selected_attention(
                q, q, q, rule=selection.Best(2), causal=True, logits=logits
            ),
            "must be None",
        ),
    ],
)
def test_what_cannot_forget_says_so(call, said):
    q, _, _, log_forget, _, _ = arrays()
    with pytest.raises(ValueError, match=said):
        call(q, Logits(log_forget_BTH=jnp.asarray(log_forget)))
