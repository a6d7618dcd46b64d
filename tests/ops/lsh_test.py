"""LSH attention against its definition, written out in NumPy, one pair at a time."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from attn_research.ops.dense import attention
from attn_research.ops.lsh import hashed, keys, lsh_attention, lsh_step, rotations
from attn_research.ops.masks import CAUSAL

B, T, H, K, E = 2, 45, 2, 4, 3


def arrays(T: int = T, dtype=np.float32):
    draw = np.random.default_rng(T).standard_normal
    return [draw((B, T, H, size)).astype(dtype) for size in (K, E, E)]


def packed() -> np.ndarray:
    row = np.zeros(T, np.int32)
    row[3:20], row[20], row[21:40] = 1, 2, 3
    return np.stack([row, np.ones(T, np.int32)])


def written_out(x, v, turn_HNKR, span, causal, ids):
    """Every query of every head on its own: what its buckets hold, then a softmax."""
    out = np.zeros_like(v)
    for b, h, t in np.ndindex(B, H, x.shape[1]):
        if not ids[b, t]:
            continue
        chosen = set()
        for turn_KR in turn_HNKR[h]:
            turned = x[b, :, h] @ turn_KR
            buckets = np.concatenate([turned, -turned], axis=1).argmax(axis=1)
            alike = np.flatnonzero((buckets == buckets[t]) & (ids[b] == ids[b, t]))
            before, after = alike[alike < t], alike[alike > t]
            chosen |= {t, *before[-span:].tolist()}
            chosen |= set() if causal else set(after[:span].tolist())
        at = sorted(chosen)
        key = x[b, at, h]
        key = key / np.sqrt((key * key).mean(axis=1, keepdims=True) + 1e-6)
        power = np.exp(key @ x[b, t, h] / np.sqrt(K))
        out[b, t, h] = power @ v[b, at, h] / power.sum()
    return out


@functools.partial(jax.jit, static_argnames=("form", "span", "causal", "buckets"))
def pull(x, v, ct, ids, form, span, causal, buckets):
    turn = rotations(H, 3, K, buckets, seed=1)
    out, back = jax.vjp(
        lambda x, v: lsh_attention(
            x,
            v,
            rotations_HNKR=turn,
            span=span,
            causal=causal,
            segments_BT=ids,
            implementation=form,
        ),
        x,
        v,
    )
    return out, *back(ct)


def error(got, want) -> float:
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    return float(np.linalg.norm(got - want) / np.linalg.norm(want))


@pytest.mark.parametrize(
    "causal, span",
    [(True, 2), (False, 3), pytest.param(True, 40, marks=pytest.mark.slow)],
)
def test_every_form_is_the_definition(causal, span):
    ids = packed() if span < 40 else None
    whole = np.ones((B, T), np.int32) if ids is None else ids
    told = ids, "naive", span, causal, 4
    with jax.enable_x64(True):
        x, v, ct = arrays(dtype=np.float64)
        want = pull(x, v, ct, *told)
        turn = rotations(H, 3, K, 4, seed=1)
        assert error(want[0], written_out(x, v, turn, span, causal, whole)) <= 1e-12
    got = pull(*arrays(), ids, "chunked", span, causal, 4)
    for one, two, reach in zip(got, want, (2e-6, 1e-5, 1e-5), strict=True):
        assert error(one, two) <= reach


def test_one_bucket_is_dense_attention():
    x, v, ct = arrays()
    got = pull(x, v, ct, None, "chunked", T, True, 0)[0]

    @jax.jit
    def dense(x, v):
        return attention(x, keys(x), v, mask=CAUSAL, implementation="naive")

    assert error(got, dense(x, v)) <= 2e-6


def test_step_by_step_sees_what_the_whole_sees():
    x, v, ct = arrays()
    want = pull(x, v, ct, None, "chunked", 2, True, 4)[0]

    @jax.jit
    def step(t, one):
        bucket_BSHN = hashed(jnp.asarray(x), rotations(H, 3, K, 4, seed=1))
        return lsh_step(one, x, v, bucket_BSHN, t, 2)

    for t in (0, 7, T - 1):
        got = np.asarray(step(np.int32(t), x[:, t : t + 1]))
        assert error(got[:, 0], np.asarray(want)[:, t]) <= 2e-6


@pytest.mark.slow
def test_rounds_see_more_and_another_seed_sees_others():
    x, v, _ = arrays()

    def run(rounds, seed):
        turn = rotations(H, rounds, K, 8, seed)
        return np.asarray(
            lsh_attention(x, v, rotations_HNKR=turn, span=64, causal=True)
        )

    full = np.asarray(attention(x, keys(jnp.asarray(x)), v, mask=CAUSAL))
    assert error(run(32, 0), full) < error(run(1, 0), full)
    assert error(run(1, 0), run(1, 1)) > 1e-2


@pytest.mark.slow
def test_gradients_are_those_of_finite_differences():
    with jax.enable_x64(True):
        x, v, _ = arrays(7, np.float64)
        turn = rotations(H, 2, K, 2, seed=1)
        check_grads(
            jax.jit(
                lambda x, v: lsh_attention(
                    x, v, rotations_HNKR=turn, span=2, causal=True
                )
            ),
            (x, v),
            order=1,
            modes=["rev"],
            rtol=1e-6,
            atol=1e-6,
            eps=1e-6,
        )


@pytest.mark.slow
def test_memory_is_linear_in_the_length():
    def temporaries(T: int) -> int:
        turn = rotations(2, 2, 16, T // 64, seed=1)  # as many buckets as the mixer has
        like = jax.ShapeDtypeStruct((1, T, 2, 16), jnp.float32)
        grad = jax.grad(
            lambda x, v: lsh_attention(
                x, v, rotations_HNKR=turn, span=64, causal=True
            ).sum(),
            (0, 1),
        )
        program = jax.jit(grad).lower(like, like).compile()
        return program.memory_analysis().temp_size_in_bytes

    assert temporaries(16_384) <= 4.5 * temporaries(4_096)


def test_what_cannot_run_is_refused():
    x, v, _ = arrays(5)
    turn = rotations(H, 1, K, 2, seed=0)
    with pytest.raises(ValueError, match="'fast'; it must be one of naive"):
        lsh_attention(
            x, v, rotations_HNKR=turn, span=1, causal=True, implementation="fast"
        )
