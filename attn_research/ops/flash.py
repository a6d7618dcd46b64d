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
from attn_research.ops.flash_gradient import gradient
from attn_research.ops.forgetting import check_gates, so_far
from attn_research.ops.logits import PLAIN, Logits
from attn_research.ops.masks import Band, Mask
from attn_research.ops.plan import At, Block, Chosen, Plan, near
from attn_research.ops.platform import accelerated
from attn_research.ops.precision import product
from attn_research.ops.rows import Rows, over
from attn_research.ops.tiles import tiles

BLOCK = 256
# On accelerators: the least block, the most keys of one, and the most scores at once.
LANES, KEYS, SCORES = 128, 4096, 2**28


def flash_attention(
    q_BTHK: jax.Array,
    k_BSGK: jax.Array,
    v_BSGE: jax.Array,
    *,
    mask: Mask,
    segments_BT: jax.Array | None = None,
    source_BS: jax.Array | None = None,
    block: int | None = None,
    logits: Logits = PLAIN,
    chosen: Chosen | None = None,
) -> jax.Array:
    """out_BTHE: what `dense.naive` gives, without a matrix of T x S.

    If blocks are `chosen`, only those are seen of what the mask admits. Forget gates
    need a band as mask and all blocks; ValueError else.
    """
    forget_BTH = logits.log_forget_BTH
    check_gates(q_BTHK, k_BSGK, mask, forget_BTH)
    logits = logits._replace(log_forget_BTH=None)
    attention = partial(_attention, mask=mask, block=block, logits=logits)
    ids = segments_BT, source_BS
    return by_parts(attention, q_BTHK, k_BSGK, v_BSGE, *ids, chosen, forget_BTH)


def _attention(
    q_BTHK: jax.Array,
    k_BSGK: jax.Array,
    v_BSGE: jax.Array,
    segments_BT: jax.Array | None,
    source_BS: jax.Array | None,
    chosen: Chosen | None,
    forget_BTH: jax.Array | None,
    *,
    mask: Mask,
    block: int | None,
    logits: Logits,
) -> jax.Array:
    (B, T, H, _), (S, G) = q_BTHK.shape, k_BSGK.shape[1:3]
    segmented = segments_BT is not None and source_BS is not None
    if segments_BT is None or source_BS is None:
        segments_BT = jnp.ones((B, T), jnp.int32)
        source_BS = jnp.ones((B, S), jnp.int32)
    most = (block, block) if block else sizes(mask, B * H, S)
    C, D = _even(T, most[0]), _even(S, most[1])
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
    rows = Rows(
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
    if forget_BTH is not None:
        forget_BTH = forget_BTH.astype(wide)
        sum_BTH2 = jax.lax.stop_gradient(so_far(forget_BTH))
        rows = rows._replace(
            forget_RJS=_blocks(forget_BTH[..., None], D)[..., 0],
            upto_RIC2=_blocks(sum_BTH2, C),
            upto_RJS2=_blocks(sum_BTH2, D),
        )
    plan = Plan(mask, H, G, S, logits.cap, segmented or S % D != 0)
    out_RICE: jax.Array = _attend(plan, rows)
    out_BHTE = out_RICE.reshape(B, H, -1, v_BSGE.shape[-1])[:, :, :T]
    return out_BHTE.swapaxes(1, 2)


def sizes(mask: Mask, rows: int, keys: int) -> tuple[int, int]:
    """How many queries and keys a block has, at most.

    On an accelerator all rows go through a block at once, and few large products are
    fast: queries see all keys that they may reach, up to `KEYS`, in one step, as many
    queries as keep the scores within `SCORES`.
    """
    if not accelerated():
        return BLOCK, BLOCK
    if not isinstance(mask, Band):
        return LANES, LANES
    if narrow(mask, keys):
        # Two blocks of keys, wherever a block of queries lies.
        return BLOCK, -(-keys // int(keys // _reach(mask)))
    seen = min(keys, KEYS)
    return max(LANES, SCORES // (rows * seen) // LANES * LANES), seen


def narrow(mask: Mask, keys: int) -> bool:
    """Whether a block of queries sees few of the keys on an accelerator."""
    return isinstance(mask, Band) and 2 * _reach(mask) < keys


def _reach(mask: Band) -> float:
    """How many keys a block of queries reaches, from the first to the last."""
    if mask.left is None or mask.right is None:
        return math.inf
    return mask.left + BLOCK + mask.right


def _even(length: int, block: int) -> int:
    """The smallest block size that gives as few blocks as `block` does."""
    return -(-length // -(-length // block))


def _blocks(x_BTHK: jax.Array, block: int) -> jax.Array:
    """x as rows of batch and head, then blocks; zeros (segment 0) fill the last."""
    B, T, H, K = x_BTHK.shape
    x_BHTK = jnp.pad(x_BTHK.swapaxes(1, 2), ((0, 0), (0, 0), (0, -T % block), (0, 0)))
    return x_BHTK.reshape(B * H, -(-T // block), block, K)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _attend(plan: Plan, rows: Rows) -> jax.Array:
    return _forward(plan, rows)[0].astype(rows.v_XJSE.dtype)


def _forward(plan: Plan, rows: Rows):
    blocks, C, K = rows.q_RICK.shape[1:]
    J, S, E = rows.v_XJSE.shape[1:]
    wide = precision.wide(rows.q_RICK.dtype)
    # The gradients of gates are sums in which the rounding of the output would add up.
    dtype = rows.v_XJSE.dtype if rows.forget_RJS is None else wide

    def row(at: At, rows: Rows):
        sink_H = rows.sink_H

        def queries(i):
            q_CK = rows.q_RICK[*at.row, i]
            segment_C = rows.segment_BIC[*at.batch, i]
            block = Block(at, i, C, S, J, rows.listed, rows.chosen)

            def keys(j, carry):
                top_C, total_C, sum_CE = carry
                k_SK, v_SE = rows.k_XJSK[*at.key, j], rows.v_XJSE[*at.key, j]
                raw_CS = product("CK,SK->CS", q_CK, k_SK) / math.sqrt(K)
                fade_CS = rows.fading(at, i, j)
                score_CS = plan.score(raw_CS, near(rows.bias_HD, block, j), fade_CS)
                source_S = rows.source_BJS[*at.batch, j]
                admit_CS = plan.admit(block, j, segment_C, source_S)
                score_CS = jnp.where(admit_CS, score_CS, -jnp.inf)
                new_C = jnp.maximum(top_C, score_CS.max(axis=1))
                # No key seen so far: 0 in place of -inf keeps the powers at 0.
                safe_C = jnp.where(jnp.isneginf(new_C), 0, new_C)
                power_CS = jnp.exp(score_CS - safe_C[:, None])
                keep_C = jnp.exp(top_C - safe_C)
                more_CE = product("CS,SE->CE", power_CS.astype(v_SE.dtype), v_SE)
                total_C = total_C * keep_C + power_CS.sum(axis=1)
                return new_C, total_C, sum_CE * keep_C[:, None] + more_CE

            # A sink is a first key without a value.
            none_C = jnp.full(C, -jnp.inf, wide)
            top_C = none_C if sink_H is None else jnp.broadcast_to(sink_H[*at.head], C)
            total_C = jnp.full(C, 0 if sink_H is None else 1, wide)
            carry = top_C, total_C, jnp.zeros((C, E), wide)
            top_C, total_C, sum_CE = plan.walk(block, keys, carry)
            empty_C = total_C == 0
            total_C = jnp.where(empty_C, 1, total_C)
            log_C = jnp.where(empty_C, 0, top_C) + jnp.log(total_C)
            return (sum_CE / total_C[:, None]).astype(dtype), log_C

        return jax.lax.map(queries, jnp.arange(blocks, dtype=jnp.int32))

    return over(plan, row, rows)


def _residuals(plan: Plan, rows: Rows):
    out_RICE, log_RIC = _forward(plan, rows)
    out = out_RICE.astype(rows.v_XJSE.dtype)
    return out, rows._replace(out_RICE=out_RICE, log_RIC=log_RIC)


def _backward(plan: Plan, saved: Rows, grad_RICE):
    return (gradient(plan, saved._replace(grad_RICE=grad_RICE)),)


_attend.defvjp(_residuals, _backward)
