"""Attention to keys and values projected along time to a fixed number of slots.

    slot_key[m] = sum_s key_NM[position(s), m] k_s      over the segment of the query
    out_t = sum_m softmax_m(q_t . slot_key[m] / sqrt(K)) slot_value[m]

Time and memory are linear in the length, for M slots. A slot sums a whole segment, so
it has no causal form. Wang et al., 2020, arXiv:2006.04768.
"""

import math
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp

from attn_research.ops import chunks
from attn_research.ops.apart import by_parts
from attn_research.ops.implementations import check_implementation
from attn_research.ops.linearity import linear_in
from attn_research.ops.masks import together
from attn_research.ops.positions import positions
from attn_research.ops.precision import wide
from attn_research.ops.rows import each


@linear_in("v_BTHE")
def linformer_attention(
    q_BTHK: jax.Array,
    k_BTHK: jax.Array,
    v_BTHE: jax.Array,
    key_NM: jax.Array,
    value_NM: jax.Array,
    *,
    segments_BT: jax.Array | None = None,
    chunk: int = 64,
    implementation: Literal["naive", "chunked"] | None = None,
) -> jax.Array:
    """out_BTHE, in the dtype of the values; row n of the projections is position n.

    "naive", the twin, builds T x T; "chunked", the default, holds the slots of the
    segments open at the ends of a chunk, and no slots of a segment within it. Raises
    ValueError for another implementation, or for more tokens than rows.
    """
    check_implementation(implementation, "naive", "chunked")
    B, T, H, K = q_BTHK.shape
    if key_NM.shape != value_NM.shape or key_NM.shape[0] < T:
        raise ValueError(
            f"The projections of {T} tokens are {key_NM.shape} and {value_NM.shape}; "
            "they must be alike and have a row for each token"
        )
    dtype, out_dtype = wide(q_BTHK.dtype), v_BTHE.dtype
    q_BTHK, k_BTHK, v_BTHE = (x.astype(dtype) for x in (q_BTHK, k_BTHK, v_BTHE))
    q_BTHK = q_BTHK * (1 / math.sqrt(K))
    at_BT = positions(B, T, segments_BT)
    e_BTM, f_BTM = (
        jnp.take(table_NM.astype(dtype), at_BT, axis=0, mode="clip")
        for table_NM in (key_NM, value_NM)
    )
    arrays = q_BTHK, k_BTHK, v_BTHE, e_BTM, f_BTM
    if implementation == "naive":
        return naive(*arrays, segments_BT).astype(out_dtype)
    if segments_BT is None:
        return whole(*arrays).astype(out_dtype)
    out_BTHE = by_parts(partial(chunked, chunk=chunk), *arrays, segments_BT)
    return out_BTHE.astype(out_dtype)


def naive(q_BTHK, k_BTHK, v_BTHE, e_BTM, f_BTM, segments_BT) -> jax.Array:
    """The definition, with the sums over the segment of each query written out."""
    if segments_BT is None:
        segments_BT = jnp.ones(q_BTHK.shape[:2], jnp.int32)
    same_B1TS = together(segments_BT, segments_BT)[:, None].astype(q_BTHK.dtype)
    product_BHTS = jnp.einsum("BTHK,BSHK->BHTS", q_BTHK, k_BTHK) * same_B1TS
    weight_BHTM = jax.nn.softmax(product_BHTS @ e_BTM[:, None], axis=-1)
    mixed_BHTS = jnp.einsum("BHTM,BSM->BHTS", weight_BHTM, f_BTM) * same_B1TS
    return jnp.einsum("BHTS,BSHE->BTHE", mixed_BHTS, v_BTHE)


def whole(q_BTHK, k_BTHK, v_BTHE, e_BTM, f_BTM) -> jax.Array:
    """One full segment: its slots first, then attention to them."""
    slot_BHMK = jnp.einsum("BSM,BSHK->BHMK", e_BTM, k_BTHK)
    slot_BHME = jnp.einsum("BSM,BSHE->BHME", f_BTM, v_BTHE)
    score_BHTM = jnp.einsum("BTHK,BHMK->BHTM", q_BTHK, slot_BHMK)
    weight_BHTM = jax.nn.softmax(score_BHTM, axis=-1)
    return jnp.einsum("BHTM,BHME->BTHE", weight_BHTM, slot_BHME)


def chunked(q_BTHK, k_BTHK, v_BTHE, e_BTM, f_BTM, segments_BT, chunk: int) -> jax.Array:
    """Any segments, chunk by chunk, each row of batch and head on its own."""
    B, T = q_BTHK.shape[:2]
    C = min(chunks.tokens(chunk), T)

    def cut(x):
        x = jnp.pad(x, ((0, 0), (0, -T % C), *((0, 0),) * (x.ndim - 2)))
        return x.reshape(B, -1, C, *x.shape[2:])

    heads = [cut(x) for x in (q_BTHK, k_BTHK, v_BTHE)]
    shared = [cut(x) for x in (e_BTM, f_BTM, segments_BT)]

    def row(q_JCK, k_JCK, v_JCE, e_JCM, f_JCM, segment_JC):
        parts = k_JCK, v_JCE, e_JCM, f_JCM, segment_JC
        before = _open(parts, -1)
        after = _open(parts, 0)

        out_JCE = each(jax.checkpoint(_chunk), q_JCK, *parts, before, after)
        return out_JCE.reshape(-1, v_JCE.shape[-1])[:T]

    def batch_row(heads, shared):
        by_heads = [jnp.moveaxis(x_JCHK, 2, 0) for x_JCHK in heads]
        return each(lambda *one: row(*one, *shared), *by_heads)

    out_BHTE = each(batch_row, heads, shared)
    return out_BHTE.swapaxes(1, 2)


def _open(parts, end: int):
    """For each chunk the segment that is open at its start, and its slots.

    `end` is the end of a chunk at which a segment stays open: the last token (-1) in a
    walk forward in time, the first (0) in a walk back.
    """
    k_JCK, v_JCE, e_JCM, f_JCM, segment_JC = parts

    @jax.checkpoint
    def body(state, inputs):
        segment, slot_MK, slot_ME = state
        k_CK, v_CE, e_CM, f_CM, segment_C = inputs
        last = segment_C[end]
        mine_C1 = ((segment_C == last) & (last != 0)).astype(k_CK.dtype)[:, None]
        goes_on = ((segment == last) & (last != 0)).astype(k_CK.dtype)
        after = (
            last,
            goes_on * slot_MK + (e_CM * mine_C1).T @ k_CK,
            goes_on * slot_ME + (f_CM * mine_C1).T @ v_CE,
        )
        return after, state

    M = e_JCM.shape[-1]
    none = (
        jnp.zeros((), segment_JC.dtype),
        jnp.zeros((M, k_JCK.shape[-1]), k_JCK.dtype),
        jnp.zeros((M, v_JCE.shape[-1]), v_JCE.dtype),
    )
    return jax.lax.scan(body, none, parts, reverse=end == 0)[1]


def _chunk(q_CK, k_CK, v_CE, e_CM, f_CM, segment_C, before, after) -> jax.Array:
    """out_CE over the segments within the chunk and those open at its ends."""
    same_CC = together(segment_C, segment_C).astype(q_CK.dtype)
    score_CM = ((q_CK @ k_CK.T) * same_CC) @ e_CM
    sides = []
    for segment, slot_MK, slot_ME in (before, after):
        mine_C1 = ((segment_C == segment) & (segment != 0)).astype(q_CK.dtype)[:, None]
        score_CM = score_CM + mine_C1 * (q_CK @ slot_MK.T)
        sides.append((mine_C1, slot_ME))
    weight_CM = jax.nn.softmax(score_CM, axis=-1)
    out_CE = ((weight_CM @ f_CM.T) * same_CC) @ v_CE
    for mine_C1, slot_ME in sides:
        out_CE = out_CE + mine_C1 * (weight_CM @ slot_ME)
    return out_CE
