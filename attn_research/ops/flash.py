"""Softmax attention in memory linear in the length, block by block.

The twin is `dense.naive`. XLA is fast on plain matrix products that stay in cache, so
each row of batch and head walks over blocks of queries, each of these over the key
blocks that the mask may admit, and no more: a block that it discards is not computed.
The softmax runs online; the backward pass recomputes the scores from the logarithm of
their sum. Dao et al., 2022, arXiv:2205.14135.

Axes here: R rows of batch and query head, I blocks of C queries, J blocks of S keys.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp

from attn_research.ops import precision
from attn_research.ops.apart import by_parts
from attn_research.ops.logits import PLAIN, Logits
from attn_research.ops.masks import Mask
from attn_research.ops.plan import Block, Chosen, Plan, near
from attn_research.ops.tiles import tiles

BLOCK = 256


def flash_attention(
    q_BTHK: jax.Array,
    k_BSGK: jax.Array,
    v_BSGE: jax.Array,
    *,
    mask: Mask,
    segments_BT: jax.Array | None = None,
    source_BS: jax.Array | None = None,
    block: int = BLOCK,
    logits: Logits = PLAIN,
    chosen: Chosen | None = None,
) -> jax.Array:
    """out_BTHE: what `dense.naive` gives, without a matrix of T x S.

    If blocks are `chosen`, only those are seen of what the mask admits.
    """

    attention = partial(_attention, mask=mask, block=block, logits=logits)
    return by_parts(attention, q_BTHK, k_BSGK, v_BSGE, segments_BT, source_BS, chosen)


def _attention(
    q_BTHK: jax.Array,
    k_BSGK: jax.Array,
    v_BSGE: jax.Array,
    segments_BT: jax.Array | None,
    source_BS: jax.Array | None,
    chosen: Chosen | None,
    *,
    mask: Mask,
    block: int,
    logits: Logits,
) -> jax.Array:
    (B, T, H, _), (S, G) = q_BTHK.shape, k_BSGK.shape[1:3]
    segmented = segments_BT is not None and source_BS is not None
    if segments_BT is None or source_BS is None:
        segments_BT = jnp.ones((B, T), jnp.int32)
        source_BS = jnp.ones((B, S), jnp.int32)
    C, D = _even(T, block), _even(S, block)
    segment_BIC = _blocks(segments_BT[:, :, None, None], C)[..., 0]
    source_BJS = _blocks(source_BS[:, :, None, None], D)[..., 0]
    bias_HD, wide = logits.bias_HD, precision.wide(q_BTHK.dtype)
    if bias_HD is not None:
        # Distances of the tokens that fill the last blocks, too.
        ends = source_BJS[0].size - S, segment_BIC[0].size - T
        bias_HD = jnp.pad(bias_HD.astype(wide), ((0, 0), ends))
    sink_H = None if logits.sink_H is None else logits.sink_H.astype(wide)
    if chosen is not None:
        chosen = Chosen(
            _blocks(chosen.best, C),
            _blocks(chosen.own[:, :, None, None], C)[..., 0],
            _blocks(chosen.keys[:, :, None, None], D)[..., 0],
        )
    out_RICE: jax.Array = _attend(
        Plan(mask, H, G, S, logits.cap, segmented or S % D != 0),
        _blocks(q_BTHK, C),
        _blocks(k_BSGK, D),
        _blocks(v_BSGE, D),
        segment_BIC,
        source_BJS,
        tiles(mask, segment_BIC, source_BJS, segmented),
        chosen,
        bias_HD,
        sink_H,
    )
    out_BHTE = out_RICE.reshape(B, H, -1, v_BSGE.shape[-1])[:, :, :T]
    return out_BHTE.swapaxes(1, 2)


def _even(length: int, block: int) -> int:
    """The smallest block size that gives as few blocks as `block` does."""
    return -(-length // -(-length // block))


def _blocks(x_BTHK: jax.Array, block: int) -> jax.Array:
    """x as rows of batch and head, then blocks; zeros (segment 0) fill the last."""
    B, T, H, K = x_BTHK.shape
    x_BHTK = jnp.pad(x_BTHK.swapaxes(1, 2), ((0, 0), (0, 0), (0, -T % block), (0, 0)))
    return x_BHTK.reshape(B * H, -(-T // block), block, K)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _attend(plan: Plan, *arrays) -> jax.Array:
    return _forward(plan, *arrays)[0]


def _forward(
    plan: Plan,
    q_RICK,
    k_RJSK,
    v_RJSE,
    segment_BIC,
    source_BJS,
    listed,
    chosen,
    bias_HD,
    sink_H,
):
    rows, blocks, C, K = q_RICK.shape
    J, S, E = v_RJSE.shape[1:]
    wide = precision.wide(q_RICK.dtype)

    def row(r):
        x, b, h = plan.rows(r)

        def queries(i):
            q_CK, segment_C = q_RICK[r, i], segment_BIC[b, i]
            block = Block(r, b, i, C, S, listed, chosen)

            def keys(j, carry):
                top_C, total_C, sum_CE = carry
                v_SE = v_RJSE[x, j]
                raw_CS = _product("CK,SK->CS", q_CK, k_RJSK[x, j]) / math.sqrt(K)
                score_CS = plan.score(raw_CS, near(bias_HD, h, block, j, J))
                admit_CS = plan.admit(block, j, segment_C, source_BJS[b, j])
                score_CS = jnp.where(admit_CS, score_CS, -jnp.inf)
                new_C = jnp.maximum(top_C, score_CS.max(axis=1))
                # No key seen so far: 0 in place of -inf keeps the powers at 0.
                safe_C = jnp.where(jnp.isneginf(new_C), 0, new_C)
                power_CS = jnp.exp(score_CS - safe_C[:, None])
                keep_C = jnp.exp(top_C - safe_C)
                more_CE = _product("CS,SE->CE", power_CS.astype(v_SE.dtype), v_SE)
                total_C = total_C * keep_C + power_CS.sum(axis=1)
                return new_C, total_C, sum_CE * keep_C[:, None] + more_CE

            # A sink is a first key without a value.
            none_C = jnp.full(C, -jnp.inf, wide)
            top_C = none_C if sink_H is None else jnp.broadcast_to(sink_H[h], C)
            total_C = jnp.full(C, 0 if sink_H is None else 1, wide)
            carry = top_C, total_C, jnp.zeros((C, E), wide)
            top_C, total_C, sum_CE = plan.walk(block, keys, carry)
            empty_C = total_C == 0
            total_C = jnp.where(empty_C, 1, total_C)
            log_C = jnp.where(empty_C, 0, top_C) + jnp.log(total_C)
            return (sum_CE / total_C[:, None]).astype(v_RJSE.dtype), log_C

        return jax.lax.map(queries, jnp.arange(blocks, dtype=jnp.int32))

    return jax.lax.map(row, jnp.arange(rows, dtype=jnp.int32))


def _product(spec: str, *operands: jax.Array) -> jax.Array:
    wide = precision.wide(operands[0].dtype)
    return jnp.einsum(spec, *operands, preferred_element_type=wide)


def _residuals(plan: Plan, *arrays):
    out_RICE, log_RIC = _forward(plan, *arrays)
    return out_RICE, (*arrays, out_RICE, log_RIC)


def _backward(plan: Plan, saved, grad_RICE):
    q_RICK, k_RJSK, v_RJSE, segment_BIC, source_BJS, listed, chosen = saved[:7]
    bias_HD, sink_H, out_RICE, log_RIC = saved[7:]
    rows, blocks, C, K = q_RICK.shape
    J, S = k_RJSK.shape[1:3]
    wide = precision.wide(q_RICK.dtype)
    scale = 1 / math.sqrt(K)

    def row(r):
        x, b, h = plan.rows(r)

        def queries(grads, i):
            q_CK, segment_C, log_C = q_RICK[r, i], segment_BIC[b, i], log_RIC[r, i]
            block = Block(r, b, i, C, S, listed, chosen)
            grad_CE = grad_RICE[r, i]
            shared_C = _product("CE,CE->C", grad_CE, out_RICE[r, i])

            def keys(j, grads):
                dq_CK, dk_JSK, dv_JSE, dbias_D = grads
                k_SK, v_SE = k_RJSK[x, j], v_RJSE[x, j]
                raw_CS = _product("CK,SK->CS", q_CK, k_SK) * scale
                bias_D = near(bias_HD, h, block, j, J)
                score_CS, back = jax.vjp(plan.score, raw_CS, bias_D)
                admit_CS = plan.admit(block, j, segment_C, source_BJS[b, j])
                score_CS = jnp.where(admit_CS, score_CS, -jnp.inf)
                weight_CS = jnp.exp(score_CS - log_C[:, None])
                dv_SE = _product("CS,CE->SE", weight_CS.astype(grad_CE.dtype), grad_CE)
                dweight_CS = _product("CE,SE->CS", grad_CE, v_SE)
                draw_CS, more_D = back(weight_CS * (dweight_CS - shared_C[:, None]))
                draw_CS = (draw_CS * scale).astype(q_CK.dtype)
                if dbias_D is not None:
                    start = block.near(j, J)
                    near_D = jax.lax.dynamic_slice(dbias_D, (start,), more_D.shape)
                    dbias_D = jax.lax.dynamic_update_slice(
                        dbias_D, near_D + more_D, (start,)
                    )
                return (
                    dq_CK + _product("CS,SK->CK", draw_CS, k_SK),
                    dk_JSK.at[j].add(_product("CS,CK->SK", draw_CS, q_CK)),
                    dv_JSE.at[j].add(dv_SE),
                    dbias_D,
                )

            *grads, dsink = grads
            dq_CK, *grads = plan.walk(
                block, keys, (jnp.zeros(q_CK.shape, wide), *grads)
            )
            if dsink is not None:
                dsink = dsink - (jnp.exp(sink_H[h] - log_C) * shared_C).sum()
            return (*grads, dsink), dq_CK

        zeros = (
            jnp.zeros(k_RJSK.shape[1:], wide),
            jnp.zeros(v_RJSE.shape[1:], wide),
            None if bias_HD is None else jnp.zeros(bias_HD.shape[1], wide),
            None if sink_H is None else jnp.zeros((), wide),
        )
        grads, dq_ICK = jax.lax.scan(
            queries, zeros, jnp.arange(blocks, dtype=jnp.int32)
        )
        return dq_ICK, *grads

    dq, dk, dv, dbias, dsink = jax.lax.map(row, jnp.arange(rows, dtype=jnp.int32))

    def grouped(d, like):
        # Every query head of a group adds to the gradient of its one key head.
        return d.reshape(like.shape[0], -1, *like.shape[1:]).sum(1).astype(like.dtype)

    def summed(d):
        # Every row of the batch adds to the gradient of its head.
        return None if d is None else d.reshape(-1, plan.heads, *d.shape[1:]).sum(0)

    arrays = dq.astype(q_RICK.dtype), grouped(dk, k_RJSK), grouped(dv, v_RJSE)
    return *arrays, None, None, None, None, summed(dbias), summed(dsink)


_attend.defvjp(_residuals, _backward)
