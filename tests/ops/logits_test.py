"""Caps, biases by distance and sinks: by definition, and in blocks as at once."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_research.ops import dense, flash
from attn_research.ops.logits import (
    Logits,
    alibi,
    bucket,
    distances,
    slopes,
    spread,
)
from attn_research.ops.masks import CAUSAL, matrix, window


def arrays(dtype=np.float32, T=23, S=23):
    source = np.random.default_rng(0)
    sizes = (2, T, 4, 8), (2, S, 2, 8), (2, S, 2, 5), (4, T + S - 1), (4,), (2, T, 4, 5)
    return [source.standard_normal(size).astype(dtype) for size in sizes]


def loops(q, k, v, bias_HD, sink_H, cap, admit_BTS):
    """The definition, a query at a time, in float64."""
    B, T, H, K = q.shape
    S, G = k.shape[1:3]
    out = np.zeros((B, T, H, v.shape[-1]))
    for b, t, h in np.ndindex(B, T, H):
        g = h // (H // G)
        score = k[b, :, g] @ q[b, t, h] / np.sqrt(K)
        score = cap * np.tanh(score / cap)
        score = score + [bias_HD[h, t - s + S - 1] for s in range(S)]
        power = np.exp(score) * admit_BTS[b, t]
        out[b, t, h] = power @ v[b, :, g] / (power.sum() + np.exp(sink_H[h]))
    return out


@pytest.mark.parametrize(
    "T, S",
    [
        (3, 8),
        pytest.param(7, 7, marks=pytest.mark.slow),
        pytest.param(6, 2, marks=pytest.mark.slow),
    ],
)
def test_naive_is_the_definition(T, S):
    with jax.enable_x64(True):
        q, k, v, bias_HD, sink_H, _ = arrays(np.float64, T, S)

        @jax.jit
        def naive(q, k, v, bias_HD, sink_H):
            logits = Logits(2.0, bias_HD, sink_H)
            return dense.naive(q, k, v, mask=CAUSAL, logits=logits)

        got = np.asarray(naive(q, k, v, bias_HD, sink_H))
    admit_BTS = np.broadcast_to(matrix(CAUSAL, T, S), (2, T, S))
    want = loops(q, k, v, bias_HD, sink_H, 2.0, admit_BTS)
    np.testing.assert_allclose(got, want, rtol=1e-12, atol=1e-14)


@functools.partial(jax.jit, static_argnums=(0, 1))
def pulled(form, mask, ids, q, k, v, bias_HD, sink_H, ct):
    seen = {"mask": mask, "segments_BT": ids, "source_BS": ids}

    def of(q, k, v, bias_HD, sink_H):
        return form(q, k, v, **seen, logits=Logits(2.0, bias_HD, sink_H))

    out, back = jax.vjp(of, q, k, v, bias_HD, sink_H)
    return out, *back(ct)


@pytest.mark.parametrize("mask", [CAUSAL, window(6, 3)], ids=str)
@pytest.mark.parametrize("packed", [False, True])
def test_blocks_give_what_the_naive_form_gives_in_float64(mask, packed):
    ids = None
    if packed:
        ids = np.array([[1] * 5 + [2] * 11 + [0] * 7, [0] * 23], np.int32)
    with jax.enable_x64(True):
        want = pulled(dense.naive, mask, ids, *arrays(np.float64))
    got = pulled(
        functools.partial(flash.flash_attention, block=5), mask, ids, *arrays()
    )
    for one, two, reach in zip(got, want, (2e-6, *[1e-5] * 5), strict=True):
        one, two = np.asarray(one, np.float64), np.asarray(two)
        assert np.linalg.norm(one - two) <= reach * np.linalg.norm(two)


def test_a_bias_needs_no_matrix():
    def temporaries(length: int) -> int:
        like = jax.ShapeDtypeStruct((1, length, 2, 16), jnp.float32)

        def loss(q, k, v):
            bias_HD = alibi(distances(length, length), 2, jnp.float32)
            logits = Logits(None, bias_HD, q[0, 0, :, 0])
            return dense.attention(
                q, k, v, logits=logits, implementation="chunked"
            ).sum()

        program = jax.jit(jax.grad(loss, (0, 1, 2))).lower(like, like, like).compile()
        return program.memory_analysis().temp_size_in_bytes

    assert temporaries(8_192) <= 4.5 * temporaries(2_048)


def test_spread_gives_each_pair_its_distance():
    at_D = distances(5, 3)
    np.testing.assert_array_equal(
        spread(at_D[None], 5)[0], np.arange(5)[:, None] - np.arange(3)[None]
    )


def test_slopes_are_those_of_the_paper():
    np.testing.assert_allclose(slopes(8), 2.0 ** -np.arange(1.0, 9))
    np.testing.assert_allclose(slopes(3), [2**-4, 2**-8, 2**-2])
    assert len(slopes(12)) == 12 and len(slopes(1)) == 1


@pytest.mark.parametrize("causal", [True, False])
def test_buckets_are_those_of_t5(causal):
    t5 = pytest.importorskip("transformers.models.t5.modeling_t5")
    torch = pytest.importorskip("torch")
    distance_D = np.arange(-300, 301)
    want = t5.T5Attention._relative_position_bucket(
        # T5 counts key - query, and takes the keys ahead for the second half.
        torch.tensor(-distance_D), not causal, 32, 128
    )  # fmt: skip
    got = jax.jit(bucket, static_argnums=(1, 2, 3))(distance_D, 32, 128, causal)
    np.testing.assert_array_equal(got, want.numpy())


def test_the_library_refuses_what_it_lacks():
    q, k, v, _, sink_H, _ = arrays()
    with pytest.raises(ValueError, match="no cap, bias or sinks"):
        dense.attention(q, k, k, logits=Logits(sink_H=sink_H), implementation="library")
