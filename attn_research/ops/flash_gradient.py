"""The backward pass of `flash`: the scores again, from the logarithm of their sum."""

import math
from functools import partial

import jax
import jax.numpy as jnp

from attn_research.ops import precision
from attn_research.ops.forgetting import gates
from attn_research.ops.plan import At, Block, Plan, near
from attn_research.ops.precision import product
from attn_research.ops.rows import Rows, over


def gradient(plan: Plan, saved: Rows) -> Rows:
    """The gradients of what a forward pass of `plan` read, and None elsewhere."""
    blocks, C, K = saved.q_RICK.shape[1:]
    J, S, E = saved.v_XJSE.shape[1:]
    wide = precision.wide(saved.q_RICK.dtype)
    scale = 1 / math.sqrt(K)

    def row(at: At, rows: Rows):
        def queries(grads, i):
            q_CK, log_C = rows.q_RICK[*at.row, i], rows.log_RIC[*at.row, i]
            segment_C = rows.segment_BIC[*at.batch, i]
            block = Block(at, i, C, S, J, rows.listed, rows.chosen)
            grad_CE = rows.grad_RICE[*at.row, i]
            out_CE = rows.out_RICE[*at.row, i]
            shared_C = product("CE,CE->C", grad_CE.astype(out_CE.dtype), out_CE)

            def keys(j, grads):
                dq_CK, before_C, dk_JSK, dv_JSE, dbias_D, dforget_JS = grads
                k_SK, v_SE = rows.k_XJSK[*at.key, j], rows.v_XJSE[*at.key, j]
                raw_CS = product("CK,SK->CS", q_CK, k_SK) * scale
                bias_D = near(rows.bias_HD, block, j)
                score = partial(plan.score, fade_CS=rows.fading(at, i, j))
                score_CS, back = jax.vjp(score, raw_CS, bias_D)
                source_S = rows.source_BJS[*at.batch, j]
                admit_CS = plan.admit(block, j, segment_C, source_S)
                score_CS = jnp.where(admit_CS, score_CS, -jnp.inf)
                weight_CS = jnp.exp(score_CS - log_C[:, None])
                dv_SE = product("CS,CE->SE", weight_CS.astype(grad_CE.dtype), grad_CE)
                dweight_CS = product("CE,SE->CS", grad_CE, v_SE)
                dscore_CS = weight_CS * (dweight_CS - shared_C[:, None])
                draw_CS, more_D = back(dscore_CS)
                if dforget_JS is not None:
                    query_C, key_S = block.places(j)
                    past_CS = key_S[None] <= query_C[:, None]
                    forget_S, before_C = gates(
                        dscore_CS, before_C, total_C, admit_CS, past_CS
                    )
                    dforget_JS = dforget_JS.at[j].add(forget_S)
                draw_CS = (draw_CS * scale).astype(q_CK.dtype)
                if dbias_D is not None:
                    start = block.near(j)
                    near_D = jax.lax.dynamic_slice(dbias_D, (start,), more_D.shape)
                    dbias_D = jax.lax.dynamic_update_slice(
                        dbias_D, near_D + more_D, (start,)
                    )
                return (
                    dq_CK + product("CS,SK->CK", draw_CS, k_SK),
                    before_C,
                    dk_JSK.at[j].add(product("CS,CK->SK", draw_CS, q_CK)),
                    dv_JSE.at[j].add(dv_SE),
                    dbias_D,
                    dforget_JS,
                )

            *grads, dsink = grads
            # The gradients of the scores of a query sum to what the sink's lacks.
            total_C = jnp.zeros(C, wide)
            if dsink is not None:
                total_C = jnp.exp(rows.sink_H[*at.head] - log_C) * shared_C
                dsink = dsink - total_C.sum()
            start = jnp.zeros(q_CK.shape, wide), jnp.zeros(C, wide)
            dq_CK, _, *grads = plan.walk(block, keys, (*start, *grads))
            return (*grads, dsink), dq_CK

        bias_HD, sink_H, forget_RJS = saved.bias_HD, saved.sink_H, saved.forget_RJS
        zeros = (
            jnp.zeros((J, S, K), wide),
            jnp.zeros((J, S, E), wide),
            None if bias_HD is None else jnp.zeros(bias_HD.shape[1], wide),
            None if forget_RJS is None else jnp.zeros((J, S), wide),
            None if sink_H is None else jnp.zeros((), wide),
        )
        grads, dq_ICK = jax.lax.scan(
            queries, zeros, jnp.arange(blocks, dtype=jnp.int32)
        )
        return dq_ICK, *grads

    dq, dk, dv, dbias, dforget, dsink = over(plan, row, saved)

    def grouped(d, like):
        # Every query head of a group adds to the gradient of its one key head.
        return d.reshape(like.shape[0], -1, *like.shape[1:]).sum(1).astype(like.dtype)

    def summed(d):
        # Every row of the batch adds to the gradient of its head.
        return None if d is None else d.reshape(-1, plan.heads, *d.shape[1:]).sum(0)

    nothing = dict.fromkeys(Rows._fields)
    found = {
        "q_RICK": dq.astype(saved.q_RICK.dtype),
        "k_XJSK": grouped(dk, saved.k_XJSK),
        "v_XJSE": grouped(dv, saved.v_XJSE),
        "bias_HD": summed(dbias),
        "forget_RJS": dforget,
        "sink_H": summed(dsink),
    }
    return Rows(**(nothing | found))
