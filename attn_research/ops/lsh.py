"""Attention within hash buckets: locality-sensitive hashing with an exact causal form.

A token is its own query and, normalised, its key: k = x / rms(x). Every round hashes it
to argmax([x R, -x R]) for a random matrix R of its own. In a round a token sees itself
and the W tokens before it in its bucket (if not causal, also W after it), and the
rounds form a union: a pair that meets in several counts once. So what a token sees
depends on the past only, and no later token changes an output, as it would if buckets
were cut into chunks. Kitaev et al., 2020, arXiv:2001.04451.

The choice is not continuous: if rounding moves a token into another bucket, it sees
other tokens. In the chunked form a later token shifts earlier ones in the order of the
buckets: they see the same, but the last bit of their sums may change. Axes here: N
rounds, R half of the buckets.
"""

import math
from functools import partial, reduce
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.ops import chunks
from attn_research.ops.apart import by_parts
from attn_research.ops.implementations import check_implementation
from attn_research.ops.linearity import linear_in
from attn_research.ops.masks import together
from attn_research.ops.platform import accelerated
from attn_research.ops.precision import wide
from attn_research.ops.rows import each

EPSILON = 1e-6
# Bounds of a block of queries, about half as wide as the keys that it sees.
LEAST, MOST = 32, 256
# Tokens hashed at once.
HASHED = 1024


@linear_in("v_BTHE")
def lsh_attention(
    x_BTHK: jax.Array,
    v_BTHE: jax.Array,
    *,
    rotations_HNKR: np.ndarray,
    span: int,
    causal: bool,
    segments_BT: jax.Array | None = None,
    implementation: Literal["naive", "chunked"] | None = None,
) -> jax.Array:
    """out_BTHE, in the dtype of the values, exactly zero at padding.

    `span` is W. "naive", the twin, builds T x T; "chunked", the default, sorts each row
    by bucket and sees blocks of it: T log T in time, linear in memory. With R = 0 there
    is one bucket. Raises ValueError for another implementation.
    """
    check_implementation(implementation, "naive", "chunked")
    B, T, H, K = x_BTHK.shape
    dtype, out_dtype = wide(x_BTHK.dtype), v_BTHE.dtype
    bucket_BHNT = hashed(x_BTHK, rotations_HNKR).transpose(0, 2, 3, 1)
    q_BTHK = x_BTHK.astype(dtype) * (1 / math.sqrt(K))
    k_BTHK, v_BTHE = keys(x_BTHK).astype(dtype), v_BTHE.astype(dtype)
    if segments_BT is None:
        segments_BT = jnp.ones((B, T), jnp.int32)
    if implementation == "naive":
        same_BTS = together(segments_BT, segments_BT)
        admit_BHTS = _meet(bucket_BHNT, same_BTS, span, causal)
        score_BHTS = jnp.einsum("BTHK,BSHK->BHTS", q_BTHK, k_BTHK)
        return weighed(score_BHTS, admit_BHTS, v_BTHE).astype(out_dtype)

    whole = partial(_sorted, span=span, causal=causal)
    out_BTHE = by_parts(whole, q_BTHK, k_BTHK, v_BTHE, bucket_BHNT, segments_BT)
    return out_BTHE.astype(out_dtype)


def _sorted(
    q_BTHK, k_BTHK, v_BTHE, bucket_BHNT, segments_BT, *, span: int, causal: bool
) -> jax.Array:
    """out_BTHE, each row of batch and head on its own, in the order of its buckets."""
    B, T, H, _ = q_BTHK.shape

    def rows(x_BTHK: jax.Array) -> jax.Array:
        return x_BTHK.swapaxes(1, 2).reshape(B * H, T, -1)

    out_XTE = each(
        partial(_row, span=span, causal=causal),
        rows(q_BTHK),
        rows(k_BTHK),
        rows(v_BTHE),
        bucket_BHNT.reshape(B * H, -1, T),
        jnp.repeat(segments_BT, H, axis=0),
    )
    return out_XTE.reshape(B, H, T, -1).swapaxes(1, 2)


def rotations(
    heads: int, rounds: int, size: int, buckets: int, seed: int
) -> np.ndarray:
    """rotations_HNKR from the seed: constants, not trained."""
    shape = heads, rounds, size, buckets // 2
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def keys(x: jax.Array) -> jax.Array:
    """x over the root of the mean of its squares, along the last axis."""
    wide_x = x.astype(wide(x.dtype))
    square = (wide_x * wide_x).mean(axis=-1, keepdims=True)
    return (wide_x * jax.lax.rsqrt(square + EPSILON)).astype(x.dtype)


def hashed(x_BTHK: jax.Array, rotations_HNKR: np.ndarray | jax.Array) -> jax.Array:
    """bucket_BTHN of each token in each round; 0 if there is one bucket.

    A block of tokens at a time: the products are as many as tokens times buckets.
    """
    H, N, _, R = rotations_HNKR.shape
    T = x_BTHK.shape[1]
    if not R:
        return jnp.zeros((*x_BTHK.shape[:2], H, N), jnp.int32)
    x_BTHK = jax.lax.stop_gradient(x_BTHK).astype(wide(x_BTHK.dtype))
    rotations_HNKR = jnp.asarray(rotations_HNKR, x_BTHK.dtype)

    def block(x_BCHK: jax.Array) -> jax.Array:
        turned_BCHNR = jnp.einsum("BCHK,HNKR->BCHNR", x_BCHK, rotations_HNKR)
        both = jnp.concatenate([turned_BCHNR, -turned_BCHNR], axis=-1)
        return jnp.argmax(both, axis=-1).astype(jnp.int32)

    if T <= HASHED:
        return block(x_BTHK)
    return chunks.join(jax.lax.map(block, chunks.cut(x_BTHK, HASHED)), T)


def lsh_step(
    x_B1HK: jax.Array,
    x_BSHK: jax.Array,
    v_BSHE: jax.Array,
    bucket_BSHN: jax.Array,
    time: jax.Array,
    span: int,
) -> jax.Array:
    """out_B1HE of the token at `time` over the tokens up to it, itself included."""
    S, K = x_BSHK.shape[1], x_B1HK.shape[-1]
    dtype = wide(x_B1HK.dtype)
    past_S = jnp.arange(S, dtype=jnp.int32) <= time
    own_B1HN = jax.lax.dynamic_slice_in_dim(bucket_BSHN, time, 1, axis=1)
    same_BSHN = (bucket_BSHN == own_B1HN) & past_S[None, :, None, None]
    # For each token the number from it on in the bucket, including the last.
    count_BSHN = jnp.cumsum(same_BSHN[:, ::-1], axis=1, dtype=jnp.int32)[:, ::-1]
    admit_BSH = (same_BSHN & (count_BSHN <= span + 1)).any(axis=3)
    q_B1HK = x_B1HK.astype(dtype) * (1 / math.sqrt(K))
    score_BH1S = jnp.einsum("BTHK,BSHK->BHTS", q_B1HK, keys(x_BSHK).astype(dtype))
    admit_BH1S = admit_BSH.swapaxes(1, 2)[:, :, None]
    out_B1HE = weighed(score_BH1S, admit_BH1S, v_BSHE.astype(dtype))
    return out_B1HE.astype(x_B1HK.dtype)


def weighed(score_BHTS, admit_BHTS, v_BSHE) -> jax.Array:
    """The softmax of the admitted scores, times the values; zero without any."""
    score_BHTS = jnp.where(admit_BHTS, score_BHTS, -jnp.inf)
    top_BHT1 = jax.lax.stop_gradient(score_BHTS.max(axis=-1, keepdims=True))
    power_BHTS = jnp.exp(score_BHTS - _finite(top_BHT1))
    total_BHT1 = power_BHTS.sum(axis=-1, keepdims=True)
    weight_BHTS = power_BHTS / jnp.where(total_BHT1 == 0, 1, total_BHT1)
    return jnp.einsum("BHTS,BSHE->BTHE", weight_BHTS, v_BSHE)


def _meet(bucket_BHNT, same_BTS, span: int, causal: bool) -> jax.Array:
    """admit_BHTS: the definition, from the rank of each token in its bucket."""
    alike_BHNTS = bucket_BHNT[..., :, None] == bucket_BHNT[..., None, :]
    alike_BHNTS = alike_BHNTS & same_BTS[:, None, None]
    T = bucket_BHNT.shape[-1]
    earlier_TS = np.tri(T, k=-1, dtype=bool)[None, None, None]
    rank_BHNT = (alike_BHNTS & earlier_TS).sum(axis=-1, dtype=jnp.int32)
    apart_BHNTS = rank_BHNT[..., :, None] - rank_BHNT[..., None, :]
    return (alike_BHNTS & _near(apart_BHNTS, span, causal)).any(axis=2)


def _near(apart, span: int, causal: bool):
    return (apart <= span) & (apart >= (0 if causal else -span))


def _finite(top):
    return jnp.where(jnp.isneginf(top), 0, top)


def _row(q_TK, k_TK, v_TE, bucket_NT, segment_T, span: int, causal: bool) -> jax.Array:
    """out_TE of one row of one head, accumulated over the rounds."""
    N, T = bucket_NT.shape
    at_NT = jnp.broadcast_to(jnp.arange(T, dtype=jnp.int32)[None], (N, T))
    ids_NT = jnp.broadcast_to(segment_T[None], (N, T))
    ids_NT, sorted_NT, order_NT = jax.lax.sort(
        (ids_NT, bucket_NT, at_NT), num_keys=2, is_stable=True
    )
    new_NT = (ids_NT != _before(ids_NT)) | (sorted_NT != _before(sorted_NT))
    first_NT = jax.lax.cummax(jnp.where(new_NT, at_NT, 0), axis=1)
    # The place of each token in the order of each round, and in its bucket.
    back_NT = jnp.argsort(order_NT, axis=1)
    rank_NT = jnp.take_along_axis(at_NT - first_NT, back_NT, axis=1)

    def one(n, order_T, back_T):
        known = segment_T[order_T], bucket_NT[:, order_T], rank_NT[:, order_T]
        vectors = q_TK[order_T], k_TK[order_T], v_TE[order_T]
        return tuple(x[back_T] for x in _round(vectors, known, n, span, causal))

    @jax.checkpoint
    def more(state, inputs):
        return _merged(state, one(*inputs)), ()

    rounds = jnp.arange(N, dtype=jnp.int32), order_NT, back_NT
    if accelerated():
        made = jax.vmap(jax.checkpoint(one))(*rounds)
        parts = [jax.tree.map(lambda x, n=n: x[n], made) for n in range(N)]
        _, total_T, sum_TE = reduce(_merged, parts)
    else:
        none_T = jnp.full(T, -jnp.inf, v_TE.dtype)
        start = none_T, jnp.zeros_like(none_T), jnp.zeros_like(v_TE)
        (_, total_T, sum_TE), _ = jax.lax.scan(more, start, rounds)
    return sum_TE / jnp.where(total_T == 0, 1, total_T)[:, None]


def _merged(one, two):
    """top_T, total_T and sum_TE of both of two sets of keys."""
    top_T = jnp.maximum(one[0], two[0])
    one_T, two_T = (jnp.exp(part[0] - _finite(top_T)) for part in (one, two))
    total_T = one[1] * one_T + two[1] * two_T
    return top_T, total_T, one[2] * one_T[:, None] + two[2] * two_T[:, None]


def _round(vectors, known, n: jax.Array, span: int, causal: bool):
    """top_T, total_T and sum_TE of the softmax of one round, in the round's order."""
    (q_TK, k_TK, v_TE), (segment_T, bucket_NT, rank_NT) = vectors, known
    T = segment_T.shape[0]
    W = min(span, T - 1)
    C = min(max(chunks.tokens(LEAST), min(W, MOST)), T)
    ahead = 0 if causal else W
    # Room before the first block and after the last.
    query = (0, -T % C)
    key = (W, -T % C + ahead)
    q_XK, ids_X = jnp.pad(q_TK, (query, (0, 0))), jnp.pad(segment_T, query)
    k_YK, v_YE = (jnp.pad(x, (key, (0, 0))) for x in (k_TK, v_TE))
    ids_Y = jnp.pad(segment_T, key)
    bucket_NX, rank_NX = (jnp.pad(x, ((0, 0), query)) for x in (bucket_NT, rank_NT))
    bucket_NY, rank_NY = (jnp.pad(x, ((0, 0), key)) for x in (bucket_NT, rank_NT))
    apart_CY = np.arange(C)[:, None] - np.arange(C + W + ahead)[None] + W
    near_CY = _near(apart_CY, span, causal)

    @jax.checkpoint
    def block(i):
        def cut(x, size, axis=0):
            return jax.lax.dynamic_slice_in_dim(x, i * C, size, axis)

        Y = C + W + ahead
        alike_NCY = cut(bucket_NX, C, 1)[:, :, None] == cut(bucket_NY, Y, 1)[:, None, :]
        admit_CY = jnp.asarray(near_CY) & together(cut(ids_X, C), cut(ids_Y, Y))
        admit_CY = admit_CY & alike_NCY[n]
        rank_NCY = cut(rank_NX, C, 1)[:, :, None] - cut(rank_NY, Y, 1)[:, None, :]
        meet_NCY = alike_NCY & _near(rank_NCY, span, causal)
        # A pair that meets in several rounds is divided between them.
        times_CY = jnp.maximum(meet_NCY.sum(axis=0, dtype=jnp.int32), 1)
        score_CY = cut(q_XK, C) @ cut(k_YK, Y).T
        score_CY = jnp.where(admit_CY, score_CY, -jnp.inf)
        top_C = jax.lax.stop_gradient(score_CY.max(axis=1))
        power_CY = jnp.exp(score_CY - _finite(top_C)[:, None])
        power_CY = power_CY / times_CY.astype(power_CY.dtype)
        return top_C, power_CY.sum(axis=1), power_CY @ cut(v_YE, Y)

    blocks = jnp.arange(-(-T // C), dtype=jnp.int32)
    top_IC, total_IC, sum_ICE = jax.lax.map(block, blocks)
    sum_XE = sum_ICE.reshape(-1, sum_ICE.shape[-1])
    return top_IC.reshape(-1)[:T], total_IC.reshape(-1)[:T], sum_XE[:T]


def _before(x_NT):
    return jnp.pad(x_NT[:, :-1], ((0, 0), (1, 0)), constant_values=-1)
