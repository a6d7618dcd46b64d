"""Softmax attention in memory linear in the length, block by block.

The twin is `dense.naive`. XLA is fast on plain matrix products that stay in cache, so
each row of batch and head walks over blocks of queries, each of these over the key
blocks that the mask admits, and no more: nothing that the mask discards is computed.
The softmax runs online; the backward pass recomputes the scores from the logarithm of
their sum. Dao et al., 2022, arXiv:2205.14135.

Axes here: R rows of batch and query head, I blocks of C queries, J blocks of S keys.
"""

import math
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from attn_research.ops import precision
from attn_research.ops.masks import Mask, together

BLOCK = 256


def attend(
    q_BTHK: jax.Array,
    k_BSGK: jax.Array,
    v_BSGE: jax.Array,
    mask: Mask,
    segments_BT: jax.Array | None,
    source_BS: jax.Array | None,
    block: int = BLOCK,
) -> jax.Array:
    """out_BTHE: what `dense.naive` gives, without a matrix of T x S."""
    (B, T, H, _), (S, G) = q_BTHK.shape, k_BSGK.shape[1:3]
    if segments_BT is None or source_BS is None:
        segments_BT = jnp.ones((B, T), jnp.int32)
        source_BS = jnp.ones((B, S), jnp.int32)
    C, D = _even(T, block), _even(S, block)
    out_RICE: jax.Array = _attend(
        Plan(mask, H, G, S),
        _blocks(q_BTHK, C),
        _blocks(k_BSGK, D),
        _blocks(v_BSGE, D),
        _blocks(segments_BT[:, :, None, None], C)[..., 0],
        _blocks(source_BS[:, :, None, None], D)[..., 0],
    )
    out_BHTE = out_RICE.reshape(B, H, -1, v_BSGE.shape[-1])[:, :, :T]
    return out_BHTE.swapaxes(1, 2)


def _even(length: int, block: int) -> int:
    """The size of as few blocks as of `block`, with the least left over."""
    return -(-length // -(-length // block))


def _blocks(x_BTHK: jax.Array, block: int) -> jax.Array:
    """x as rows of batch and head, then blocks; zeros (segment 0) fill the last."""
    B, T, H, K = x_BTHK.shape
    x_BHTK = jnp.pad(x_BTHK.swapaxes(1, 2), ((0, 0), (0, 0), (0, -T % block), (0, 0)))
    return x_BHTK.reshape(B * H, -1, block, K)


class Plan(NamedTuple):
    """What is static: the mask, query and key heads, the true number of keys."""

    mask: Any
    heads: int
    groups: int
    keys: int

    def rows(self, row: Any) -> tuple[Any, Any]:
        """The key row and the batch row of a query row."""
        batch, head = row // self.heads, row % self.heads
        return batch * self.groups + head // (self.heads // self.groups), batch

    def range(self, i: Any, queries: int, keys: int) -> tuple[Any, Any]:
        """The key blocks [low, high) that the query block i can reach."""
        low, high = self.mask.span(i * queries, (i + 1) * queries - 1, self.keys)
        return jnp.int32(low // keys), jnp.int32(-(-high // keys))

    def score(self, i: Any, j: Any, q_CK, k_SK, segment_C, source_S) -> jax.Array:
        """The scores of a block of queries on a block of keys; -inf is not seen."""
        wide = precision.wide(q_CK.dtype)
        score_CS = jnp.einsum("CK,SK->CS", q_CK, k_SK, preferred_element_type=wide)
        C, S = score_CS.shape
        query_C1 = i * C + jnp.arange(C, dtype=jnp.int32)[:, None]
        key_1S = j * S + jnp.arange(S, dtype=jnp.int32)[None]
        admit_CS = together(segment_C, source_S) & self.mask.admit(query_C1, key_1S)
        scale = 1 / math.sqrt(q_CK.shape[-1])
        return jnp.where(admit_CS, score_CS * scale, -jnp.inf)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _attend(plan: Plan, q_RICK, k_RJSK, v_RJSE, segment_BIC, source_BJS) -> jax.Array:
    return _forward(plan, q_RICK, k_RJSK, v_RJSE, segment_BIC, source_BJS)[0]


def _forward(plan: Plan, q_RICK, k_RJSK, v_RJSE, segment_BIC, source_BJS):
    rows, blocks, C = q_RICK.shape[:3]
    S, E = v_RJSE.shape[2:]
    wide = precision.wide(q_RICK.dtype)

    def row(r):
        x, b = plan.rows(r)

        def queries(i):
            q_CK, segment_C = q_RICK[r, i], segment_BIC[b, i]

            def keys(j, carry):
                top_C, total_C, sum_CE = carry
                v_SE = v_RJSE[x, j]
                score_CS = plan.score(
                    i, j, q_CK, k_RJSK[x, j], segment_C, source_BJS[b, j]
                )
                new_C = jnp.maximum(top_C, score_CS.max(axis=1))
                # No key seen so far: 0 in place of -inf keeps the powers at 0.
                safe_C = jnp.where(jnp.isneginf(new_C), 0, new_C)
                power_CS = jnp.exp(score_CS - safe_C[:, None])
                keep_C = jnp.exp(top_C - safe_C)
                sum_CE = sum_CE * keep_C[:, None] + jnp.einsum(
                    "CS,SE->CE",
                    power_CS.astype(v_SE.dtype),
                    v_SE,
                    preferred_element_type=wide,
                )
                return new_C, total_C * keep_C + power_CS.sum(axis=1), sum_CE

            none_C = jnp.full(C, -jnp.inf, wide)
            carry = none_C, jnp.zeros(C, wide), jnp.zeros((C, E), wide)
            low, high = plan.range(i, C, S)
            top_C, total_C, sum_CE = jax.lax.fori_loop(low, high, keys, carry)
            empty_C = total_C == 0
            total_C = jnp.where(empty_C, 1, total_C)
            log_C = jnp.where(empty_C, 0, top_C) + jnp.log(total_C)
            return (sum_CE / total_C[:, None]).astype(v_RJSE.dtype), log_C

        return jax.lax.map(queries, jnp.arange(blocks, dtype=jnp.int32))

    return jax.lax.map(row, jnp.arange(rows, dtype=jnp.int32))


def _residuals(plan: Plan, *arrays):
    out_RICE, log_RIC = _forward(plan, *arrays)
    return out_RICE, (*arrays, out_RICE, log_RIC)


def _backward(plan: Plan, kept, grad_RICE):
    q_RICK, k_RJSK, v_RJSE, segment_BIC, source_BJS, out_RICE, log_RIC = kept
    rows, blocks, C = q_RICK.shape[:3]
    S = k_RJSK.shape[2]
    wide = precision.wide(q_RICK.dtype)
    scale = 1 / math.sqrt(q_RICK.shape[-1])

    def product(spec, *operands):
        return jnp.einsum(spec, *operands, preferred_element_type=wide)

    def row(r):
        x, b = plan.rows(r)

        def queries(grads, i):
            q_CK, segment_C, log_C = q_RICK[r, i], segment_BIC[b, i], log_RIC[r, i]
            grad_CE = grad_RICE[r, i]
            shared_C = product("CE,CE->C", grad_CE, out_RICE[r, i])

            def keys(j, grads):
                dq_CK, dk_JSK, dv_JSE = grads
                k_SK, v_SE = k_RJSK[x, j], v_RJSE[x, j]
                score_CS = plan.score(i, j, q_CK, k_SK, segment_C, source_BJS[b, j])
                weight_CS = jnp.exp(score_CS - log_C[:, None])
                dv_SE = product("CS,CE->SE", weight_CS.astype(grad_CE.dtype), grad_CE)
                dweight_CS = product("CE,SE->CS", grad_CE, v_SE)
                dscore_CS = weight_CS * (dweight_CS - shared_C[:, None]) * scale
                dscore_CS = dscore_CS.astype(q_CK.dtype)
                return (
                    dq_CK + product("CS,SK->CK", dscore_CS, k_SK),
                    dk_JSK.at[j].add(product("CS,CK->SK", dscore_CS, q_CK)),
                    dv_JSE.at[j].add(dv_SE),
                )

            low, high = plan.range(i, C, S)
            dq_CK, *grads = jax.lax.fori_loop(
                low, high, keys, (jnp.zeros(q_CK.shape, wide), *grads)
            )
            return tuple(grads), dq_CK

        zeros = jnp.zeros(k_RJSK.shape[1:], wide), jnp.zeros(v_RJSE.shape[1:], wide)
        (dk_JSK, dv_JSE), dq_ICK = jax.lax.scan(
            queries, zeros, jnp.arange(blocks, dtype=jnp.int32)
        )
        return dq_ICK, dk_JSK, dv_JSE

    dq, dk, dv = jax.lax.map(row, jnp.arange(rows, dtype=jnp.int32))

    def grouped(d, like):
        # Every query head of a group adds to the gradient of its one key head.
        return d.reshape(like.shape[0], -1, *like.shape[1:]).sum(1).astype(like.dtype)

    return dq.astype(q_RICK.dtype), grouped(dk, k_RJSK), grouped(dv, v_RJSE), None, None


_attend.defvjp(_residuals, _backward)
