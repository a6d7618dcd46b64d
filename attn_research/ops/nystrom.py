"""Softmax attention rebuilt from landmarks: means of neighbouring queries and keys.

    out = softmax(q l') pinv(softmax(m l')) softmax(m k') v

with the M landmarks m of the queries and l of the keys, all products over sqrt(K).
Landmark j of a segment of L tokens is the mean of those with floor(position M / L) = j,
or, if L < M, each token itself. The inverse is 6 steps of the paper's third-order
iteration, from the transpose over its norms. Time and memory are linear
in the length; landmarks cover the whole segment, so it has no causal form. Xiong et
al., 2021, arXiv:2102.03902, without the convolution that the paper adds to the values.
"""

import math
from typing import Literal

import jax
import jax.numpy as jnp

from attn_research.ops.apart import by_parts
from attn_research.ops.implementations import check_implementation
from attn_research.ops.linearity import linear_in
from attn_research.ops.positions import ordinals, positions
from attn_research.ops.precision import wide
from attn_research.ops.rows import each

STEPS = 6


@linear_in("v_BTHE")
def nystrom_attention(
    q_BTHK: jax.Array,
    k_BTHK: jax.Array,
    v_BTHE: jax.Array,
    *,
    landmarks: int,
    segments_BT: jax.Array | None = None,
    packed: int = 8,
    implementation: Literal["naive", "chunked"] | None = None,
) -> jax.Array:
    """out_BTHE, in the dtype of the values, exactly zero at padding.

    The first `packed` segments of a row are computed one after another: a row takes
    that many times the time of one, and tokens of a later segment get NaN. "naive", the
    twin, computes all rows at once; "chunked", the default, one at a time on a CPU.
    Raises ValueError for another implementation.
    """
    B, T, H, K = q_BTHK.shape
    dtype, out_dtype = wide(q_BTHK.dtype), v_BTHE.dtype
    q_BTHK, k_BTHK, v_BTHE = (x.astype(dtype) for x in (q_BTHK, k_BTHK, v_BTHE))
    q_BTHK = q_BTHK * (1 / math.sqrt(K))
    check_implementation(implementation, "naive", "chunked")
    numbers = range(1, 2 if segments_BT is None else packed + 1)
    segments = jnp.ones((B, T), jnp.int32)
    if segments_BT is not None:
        segments = ordinals(segments_BT)  # whatever number a segment has
    place_BT = positions(B, T, segments_BT)

    def row(q_TK, k_TK, v_TE, segment_T, place_T):
        @jax.checkpoint
        def one(number):
            mine_T = segment_T == number
            return _segment(q_TK, k_TK, v_TE, mine_T, place_T, landmarks)

        if len(numbers) == 1:
            return one(jnp.asarray(1, segment_T.dtype))
        total, _ = jax.lax.scan(
            lambda total_TE, number: (total_TE + one(number), None),
            jnp.zeros_like(v_TE),
            jnp.asarray(numbers, segment_T.dtype),
        )
        return jnp.where((segment_T > packed)[:, None], jnp.nan, total)

    def rows(qkv, ids_BT, place_BT) -> jax.Array:
        B, T, H, _ = qkv[0].shape
        q_RTK, k_RTK, v_RTE = (x.swapaxes(1, 2).reshape(B * H, T, -1) for x in qkv)
        heads = q_RTK, k_RTK, v_RTE
        placed = jnp.repeat(ids_BT, H, axis=0), jnp.repeat(place_BT, H, axis=0)
        if implementation == "naive":
            out_RTE = jax.vmap(row)(*heads, *placed)
        else:
            out_RTE = each(row, *heads, *placed)
        return out_RTE.reshape(B, H, T, -1).swapaxes(1, 2)

    out_BTHE = by_parts(rows, (q_BTHK, k_BTHK, v_BTHE), segments, place_BT)
    return out_BTHE.astype(out_dtype)


def _segment(q_TK, k_TK, v_TE, mine_T, place_T, landmarks: int) -> jax.Array:
    """out_TE of one segment, zero outside it."""
    M = min(landmarks, q_TK.shape[0])
    count = mine_T.sum(dtype=jnp.int32)
    wide_T = place_T * M // jnp.maximum(count, 1)
    group_T = jnp.where(count < M, place_T, wide_T)
    slots_1M = jnp.arange(M, dtype=jnp.int32)[None]
    member_TM = (group_T[:, None] == slots_1M) & mine_T[:, None]
    member_TM = member_TM.astype(q_TK.dtype)
    size_M = member_TM.sum(axis=0)
    mean_MT = (member_TM / jnp.maximum(size_M, 1)[None]).T
    real_M = size_M > 0
    query_MK, key_MK = mean_MT @ q_TK, mean_MT @ k_TK
    to_TM = _softmax(q_TK @ key_MK.T, mine_T, real_M)
    between_MM = _softmax(query_MK @ key_MK.T, real_M, real_M)
    from_MT = _softmax(query_MK @ k_TK.T, real_M, mine_T)
    return to_TM @ (inverse(between_MM) @ (from_MT @ v_TE))


def _softmax(score_TS: jax.Array, query_T: jax.Array, key_S: jax.Array) -> jax.Array:
    """The softmax over the real keys; rows without a real query are zero."""
    admit_TS = query_T[:, None] & key_S[None]
    score_TS = jnp.where(admit_TS, score_TS, -jnp.inf)
    top_T1 = jax.lax.stop_gradient(score_TS.max(axis=1, keepdims=True))
    power_TS = jnp.exp(score_TS - jnp.where(jnp.isneginf(top_T1), 0, top_T1))
    total_T1 = power_TS.sum(axis=1, keepdims=True)
    return power_TS / jnp.where(total_T1 == 0, 1, total_T1)


def inverse(a_MM: jax.Array, steps: int = STEPS) -> jax.Array:
    """The pseudo-inverse after `steps` steps of the iteration; zero rows stay zero."""
    row, column = jnp.abs(a_MM).sum(axis=1).max(), jnp.abs(a_MM).sum(axis=0).max()
    norms = row * column
    z_MM = a_MM.T / jnp.where(norms == 0, 1, norms)
    one_MM = jnp.eye(a_MM.shape[0], dtype=a_MM.dtype)
    for _ in range(steps):
        az_MM = a_MM @ z_MM
        inner_MM = 15 * one_MM - az_MM @ (7 * one_MM - az_MM)
        z_MM = 0.25 * (z_MM @ (13 * one_MM - az_MM @ inner_MM))
    return z_MM
