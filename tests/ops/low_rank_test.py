"""Linformer and Nystrom attention against their definitions, written out in NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from attn_research.ops.dense import attention
from attn_research.ops.linformer import linformer_attention
from attn_research.ops.nystrom import STEPS, inverse, nystrom_attention

B, H, K, E, M = 2, 2, 4, 3, 5


def arrays(T: int, dtype=np.float32):
    draw = np.random.default_rng(T).standard_normal
    sizes = (B, T, H, K), (B, T, H, K), (B, T, H, E), (T, M), (T, M)
    return [draw(size).astype(dtype) for size in sizes]


def segments(T: int) -> np.ndarray:
    """Padding, a token alone, two that touch, padding; and three of other lengths."""
    row = np.zeros(T, np.int32)
    row[T // 6], row[T // 6 + 1 : T // 2], row[T // 2 : T - T // 8] = 1, 2, 3
    return np.stack([row, np.repeat([1, 2, 3], [T // 3, T // 3, T - 2 * (T // 3)])])


def softmax(score):
    power = np.exp(score - score.max(axis=-1, keepdims=True))
    return power / power.sum(axis=-1, keepdims=True)


def each(ids_BT, q, k, v, one):
    """out_BTHE by one(q_LK, k_LK, v_LE) for every segment and head on its own."""
    out = np.zeros_like(v)
    for b, h in np.ndindex(B, H):
        for number in set(ids_BT[b].tolist()) - {0}:
            at = ids_BT[b] == number
            out[b, at, h] = one(q[b, at, h], k[b, at, h], v[b, at, h])
    return out


def projected(key_NM, value_NM, q, k, v):
    """Linformer on one sequence."""
    slot_MK, slot_ME = key_NM[: len(q)].T @ k, value_NM[: len(q)].T @ v
    return softmax(q @ slot_MK.T / np.sqrt(K)) @ slot_ME


def landmarked(landmarks, q, k, v):
    """Nystrom attention on one sequence, means by a loop."""
    L = len(q)
    count = min(landmarks, L)
    groups = [[p for p in range(L) if p * count // L == m] for m in range(count)]
    query_MK = np.stack([q[g].mean(axis=0) for g in groups])
    key_MK = np.stack([k[g].mean(axis=0) for g in groups])
    between = softmax(query_MK @ key_MK.T / np.sqrt(K))
    z = between.T / (between.sum(axis=0).max() * between.sum(axis=1).max())
    one = np.eye(count)
    for _ in range(STEPS):
        az = between @ z
        z = z @ (13 * one - az @ (15 * one - az @ (7 * one - az))) / 4
    to = softmax(q @ key_MK.T / np.sqrt(K))
    return to @ z @ softmax(query_MK @ k.T / np.sqrt(K)) @ v


def error(got, want) -> float:
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    return float(np.linalg.norm(got - want) / np.linalg.norm(want))


@functools.partial(jax.jit, static_argnames=("form", "chunk"))
def pull_linformer(arrays, ids, ct, form, chunk=64):
    def run(*arrays):
        return linformer_attention(
            *arrays, segments_BT=ids, chunk=chunk, implementation=form
        )

    out, back = jax.vjp(run, *arrays)
    return out, *back(ct)


@functools.partial(jax.jit, static_argnames=("form", "landmarks"))
def pull_nystrom(arrays, ids, ct, form, landmarks):
    def run(q, k, v):
        return nystrom_attention(
            q, k, v, landmarks=landmarks, segments_BT=ids, implementation=form
        )

    out, back = jax.vjp(run, *arrays)
    return out, *back(ct)


def close(got, want):
    for one, two, reach in zip(got, want, [2e-6] + [1e-5] * 5, strict=False):
        assert error(one, two) <= reach


@pytest.mark.parametrize("packed", [True, False])
def test_linformer_is_its_definition(packed):
    T = 41
    ids = segments(T) if packed else None
    whole = np.ones((B, T), np.int32) if ids is None else ids
    ct = np.random.default_rng(0).standard_normal((B, T, H, E))
    with jax.enable_x64(True):
        wide = arrays(T, np.float64)
        want = pull_linformer(wide, ids, ct, "naive")
        q, k, v, *tables = wide
        out = each(whole, q, k, v, functools.partial(projected, *tables))
        assert error(want[0], out) <= 1e-12
    for chunk in (1, 16) if packed else (64,):
        got = pull_linformer(arrays(T), ids, ct.astype(np.float32), "chunked", chunk)
        close(got, want)


@pytest.mark.parametrize("landmarks, packed", [(4, True), (64, False)])
def test_nystrom_is_its_definition(landmarks, packed):
    T = 41
    ids = segments(T) if packed else None
    whole = np.ones((B, T), np.int32) if ids is None else ids
    ct = np.random.default_rng(0).standard_normal((B, T, H, E))
    with jax.enable_x64(True):
        wide = arrays(T, np.float64)[:3]
        want = pull_nystrom(wide, ids, ct, "naive", landmarks)
        out = each(whole, *wide, functools.partial(landmarked, landmarks))
        assert error(want[0], out) <= 1e-10
    narrow = arrays(T)[:3]
    close(pull_nystrom(narrow, ids, ct.astype(np.float32), "chunked", landmarks), want)


def test_the_inverse_is_the_pseudo_inverse():
    power = np.exp(np.random.default_rng(0).standard_normal((6, 6)) * 2)
    a_MM = np.zeros((7, 7))
    a_MM[:6, :6] = power / power.sum(axis=1, keepdims=True)
    with jax.enable_x64(True):
        got = np.asarray(jax.jit(functools.partial(inverse, steps=20))(a_MM))
    assert error(got, np.linalg.pinv(a_MM)) <= 1e-10
    assert not np.asarray(got)[6].any() and not np.asarray(got)[:, 6].any()


def test_as_many_landmarks_as_tokens_are_softmax_attention():
    # Apart enough that the matrix between the landmarks is easy to invert.
    q, k, v, *_ = arrays(6)
    q = k = 4 * np.asarray(k)
    got = jax.jit(functools.partial(nystrom_attention, landmarks=6))(q, k, v)
    want = jax.jit(functools.partial(attention, implementation="naive"))(q, k, v)
    assert error(got, want) <= 1e-2


@pytest.mark.slow
def test_gradients_are_those_of_finite_differences():
    ids = np.array([[1, 1, 0, 2, 2, 2]] * B)
    with jax.enable_x64(True):
        q, k, v, *tables = arrays(6, np.float64)
        near = {"modes": ["rev"], "order": 1, "rtol": 1e-6, "atol": 1e-6, "eps": 1e-6}
        check_grads(
            jax.jit(lambda *a: linformer_attention(*a, segments_BT=ids, chunk=2)),
            (q, k, v, *tables),
            **near,
        )
        check_grads(
            jax.jit(
                lambda *a: nystrom_attention(*a, landmarks=2, segments_BT=ids, packed=2)
            ),
            (q, k, v),
            **near,
        )


@pytest.mark.slow
def test_memory_is_linear_in_the_length():
    def temporaries(run, T: int) -> int:
        like = jax.ShapeDtypeStruct((1, T, 2, 16), jnp.float32)
        ids = jax.ShapeDtypeStruct((1, T), jnp.int32)
        grad = jax.grad(lambda q, k, v, ids: run(q, k, v, ids).sum(), (0, 1, 2))
        program = jax.jit(grad).lower(like, like, like, ids).compile()
        return program.memory_analysis().temp_size_in_bytes

    def projected(q, k, v, ids):
        table_NM = jnp.ones((q.shape[1], 32))
        return linformer_attention(q, k, v, table_NM, table_NM, segments_BT=ids)

    def landmarked(q, k, v, ids):
        return nystrom_attention(q, k, v, landmarks=32, segments_BT=ids, packed=2)

    for run in (projected, landmarked):
        assert temporaries(run, 8_192) <= 4.5 * temporaries(run, 2_048)


def test_a_segment_beyond_those_told_gives_nan():
    q, k, v, *_ = arrays(6)
    ids = np.array([[1, 1, 2, 2, 3, 0]] * B)
    run = functools.partial(nystrom_attention, landmarks=2, segments_BT=ids, packed=2)
    got = np.asarray(jax.jit(run)(q, k, v))
    np.testing.assert_array_equal(np.isnan(got).all(axis=(0, 2, 3)), ids[0] == 3)
    assert not got[:, 5].any()


def test_what_cannot_run_is_refused():
    q, k, v, *tables = arrays(6)
    with pytest.raises(ValueError, match="'fast'; it must be one of naive"):
        linformer_attention(q, k, v, *tables, implementation="fast")
    with pytest.raises(ValueError, match="6 tokens"):
        linformer_attention(q, k, v, tables[0][:5], tables[1][:5])
    with pytest.raises(ValueError, match="'fast'; it must be one of naive"):
        nystrom_attention(q, k, v, landmarks=2, implementation="fast")
