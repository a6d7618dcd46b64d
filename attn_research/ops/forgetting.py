"""Forget gates of attention: a score fades with every token between query and key.

    score_ts += log f_{s+1} + ... + log f_t      (ahead of the query: l in (t, s])

Lin et al., 2025, arXiv:2503.02130. A block needs two vectors: sums up to its queries
and up to its keys. They are kept as a whole number and a rest, so that far into a
sequence the difference of two large sums still has all its digits.

The gradient of a gate sums those of the scores that it lies between. It is never a
difference of sums over queries and over keys, of which rounding would remain at gates
that no score depends on.
"""

from typing import Any

import jax
import jax.numpy as jnp

from attn_research.ops.chunks import triangle
from attn_research.ops.masks import Band, Mask


def check_gates(q_BTHK: Any, k_BSGK: Any, mask: Mask, log_forget_BTH: Any) -> None:
    """Raises ValueError unless forget gates, if given, fit the tokens and the mask.

    Through a mask with holes a query would depend on tokens that it does not see.
    """
    if log_forget_BTH is None:
        return
    gates, queries = log_forget_BTH.shape, q_BTHK.shape
    if gates != queries[:3] or k_BSGK.shape[1] != queries[1]:
        raise ValueError(
            f"Forget gates are {gates}, q {queries} and k {k_BSGK.shape}; the gates "
            "must be B, T, H of q, and the keys those of the same tokens"
        )
    if not isinstance(mask, Band):
        raise ValueError(
            f"Forget gates are given with the mask {mask}; it must be causal, full or "
            "a window"
        )


def between(log_forget_BTH: jax.Array) -> jax.Array:
    """bias_BHTS, the definition: each sum on its own. Memory is T x T."""
    later_RS = triangle(log_forget_BTH.shape[1], strict=True)[None, :, :, None]
    gate_BRSH = jnp.where(later_RS, log_forget_BTH[:, :, None], 0)
    past_BHTS = jnp.moveaxis(jnp.cumsum(gate_BRSH, axis=1), 3, 1)
    return past_BHTS + jnp.swapaxes(past_BHTS, 2, 3)


def so_far(log_forget_BTH: jax.Array) -> jax.Array:
    """sum_BTH2 of all gates up to each token: a whole number, and a rest in [0, 1)."""

    def added(one, two):
        rest = one[1] + two[1]
        carried = jnp.floor(rest)
        return one[0] + two[0] + carried, rest - carried

    whole = jnp.floor(log_forget_BTH)
    parts = jax.lax.associative_scan(added, (whole, log_forget_BTH - whole), axis=1)
    return jnp.stack(parts, axis=-1)


def fading(query_C2: jax.Array, key_S2: jax.Array) -> jax.Array:
    """bias_CS of queries and keys whose `so_far` these are."""
    # Number by number: an axis of two at the end would not be vectorised.
    whole_CS = query_C2[:, :1] - key_S2[None, :, 0]
    return -jnp.abs(whole_CS + (query_C2[:, 1:] - key_S2[None, :, 1]))


def gates(
    dscore_CS: jax.Array,
    before_C: jax.Array,
    total_C: jax.Array,
    near_CS: jax.Array,
    past_CS: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """(gradient_S of the gates of a block of keys, `before_C` of the next block).

    `before_C` sums the gradients of the scores of each query on all keys before the
    block, `total_C` those on all keys. `near_CS`: the query may see the token of the
    gate; `past_CS`: that token is not after the query.
    """

    def whole(_) -> jax.Array:
        """Every key of the block is seen, and past: sums over queries come first."""
        key_S = dscore_CS.sum(axis=0)
        return before_C.sum() + jnp.pad(jnp.cumsum(key_S[:-1]), (1, 0))

    def part(_) -> jax.Array:
        upto_CS = before_C[:, None] + jnp.cumsum(dscore_CS[:, :-1], axis=1)
        behind_CS = jnp.concatenate([before_C[:, None], upto_CS], axis=1)
        lies_CS = jnp.where(past_CS, behind_CS, total_C[:, None] - behind_CS)
        return jnp.where(near_CS, lies_CS, 0).sum(axis=0)

    forget_S = jax.lax.cond((near_CS & past_CS).all(), whole, part, None)
    return forget_S, before_C + dscore_CS.sum(axis=1)
