"""How a chunk of linear attention weighs its tokens: fixed, scalar, channel decay.

Each function returns four things for one chunk: the scores of its tokens with each
other (C x C), its queries for reading the state carried in, its keys for writing the
state carried out, and the fraction of the former kept in the latter. Every exponent is
a sum of logarithms that are at most 0 (or 1, with a change of units), so nothing
overflows.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from attn_research.ops.chunks import spans, triangle


class Weighed(NamedTuple):
    """score_BHCC, q_BHCM reading, k_BHCM writing, kept (B, H, M or 1, 1)."""

    score_BHCC: jax.Array
    q_BHCM: jax.Array
    k_BHCM: jax.Array
    kept_BHM1: jax.Array


def weigh_fixed(
    log_decay_H: jax.Array,
    q_BHCM: jax.Array,
    k_BHCM: jax.Array,
    change_BHC: jax.Array | None = None,
    *,
    strict: bool,
) -> Weighed:
    """One rate per head: every exponent is the rate times a count of tokens.

    To it a change of units is added, in whole numbers, whose sums are exact.
    """
    B, H, C, _ = q_BHCM.shape
    count_C = jnp.arange(C, dtype=log_decay_H.dtype)
    back_CC = jnp.maximum(count_C[:, None] - count_C[None, :], 0)
    rate_1H1 = log_decay_H[None, :, None]
    between = rate_1H1[..., None] * back_CC[None, None]
    since = rate_1H1 * (count_C + 1)[None, None]
    until = rate_1H1 * (C - 1 - count_C)[None, None]
    if change_BHC is not None:
        total_BHC = jnp.cumsum(change_BHC, axis=2)
        between = between + (total_BHC[..., :, None] - total_BHC[..., None, :])
        since, until = since + total_BHC, until + (total_BHC[..., -1:] - total_BHC)
    seen_11CC = triangle(C, strict=strict)[None, None]
    # Chosen twice: a sum over what is not seen may be large.
    weight = jnp.where(seen_11CC, jnp.exp(jnp.where(seen_11CC, between, 0)), 0)
    return Weighed(
        (q_BHCM @ jnp.swapaxes(k_BHCM, 2, 3)) * weight,
        q_BHCM * jnp.exp(since)[..., None],
        k_BHCM * jnp.exp(until)[..., None],
        jnp.broadcast_to(jnp.exp(since[..., -1]), (B, H))[..., None, None],
    )


def weigh_scalar(
    q_BHCM: jax.Array, k_BHCM: jax.Array, log_decay_BHC: jax.Array, *, strict: bool
) -> Weighed:
    """One decay per token and head: scores times a matrix of weights.

    Dao and Gu, 2024, arXiv:2405.21060.
    """
    span = spans(log_decay_BHC)
    seen_11CC = triangle(q_BHCM.shape[2], strict=strict)[None, None]
    weight_BHCC = jnp.where(seen_11CC, jnp.exp(span.between), 0)
    return Weighed(
        (q_BHCM @ jnp.swapaxes(k_BHCM, 2, 3)) * weight_BHCC,
        q_BHCM * jnp.exp(span.since)[..., None],
        k_BHCM * jnp.exp(span.until)[..., None],
        jnp.exp(span.since[..., -1])[..., None, None],
    )


def weigh_channel(
    q_BHCM: jax.Array, k_BHCM: jax.Array, log_decay_BHCM: jax.Array, *, strict: bool
) -> Weighed:
    """One decay per token, head and feature; C must be a power of two.

    The weight of a pair depends on the feature, so that no matrix of weights exists
    and queries and keys must each carry a factor of the decay. Factors from the start
    of the chunk would grow as exp(+sum). Here the chunk is halved again and again: the
    weight of a pair is computed at the level that splits it, the query's factor back to
    the middle and the key's up to it, so that both are at most 1. That is log2(C)
    products of C x M by M x C. After Yang et al., 2023, arXiv:2312.06635, which has two
    levels.
    """
    B, H, C, M = log_decay_BHCM.shape
    token_C = jnp.arange(C)
    eye_CC = token_C[:, None] == token_C[None, :]
    own_BHC1 = (q_BHCM * k_BHCM).sum(-1, keepdims=True)
    score_BHCC = jnp.where(eye_CC[None, None] & (not strict), own_BHC1, 0)
    # Within blocks of size 1, then 2, 4, ...: decay from the start of the block to the
    # token and with it, and after the token to the end.
    since, until = log_decay_BHCM, jnp.zeros_like(log_decay_BHCM)
    size = 1
    while size < C:
        second_C = (token_C // size) % 2 == 1
        second_C1 = second_C[None, None, :, None]
        share = jnp.exp(jnp.where(second_C1, since, until))
        q_side = jnp.where(second_C1, q_BHCM * share, 0)
        k_side = jnp.where(second_C1, 0, k_BHCM * share)
        pair_C = token_C // (2 * size)
        same_CC = pair_C[:, None] == pair_C[None, :]
        met_BHCC = q_side @ jnp.swapaxes(k_side, 2, 3)
        score_BHCC = score_BHCC + jnp.where(same_CC[None, None], met_BHCC, 0)
        # The two halves become one block of twice the size.
        shape = (B, H, C // (2 * size), 2, size, M)
        since, until = since.reshape(shape), until.reshape(shape)
        total_first = since[:, :, :, 0, -1:]
        total_second = since[:, :, :, 1, -1:]
        since = jnp.concatenate(
            [since[:, :, :, 0], since[:, :, :, 1] + total_first], axis=3
        ).reshape(B, H, C, M)
        until = jnp.concatenate(
            [until[:, :, :, 0] + total_second, until[:, :, :, 1]], axis=3
        ).reshape(B, H, C, M)
        size *= 2
    return Weighed(
        score_BHCC,
        q_BHCM * jnp.exp(since),
        k_BHCM * jnp.exp(until),
        jnp.exp(since[:, :, -1])[..., None],
    )
