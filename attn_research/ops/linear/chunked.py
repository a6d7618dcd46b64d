"""Linear attention by chunks: all pairs within a chunk, a state between chunks."""

import functools

import jax
import jax.numpy as jnp

from attn_research.ops import chunks
from attn_research.ops.linear.weighing import weigh_channel, weigh_fixed, weigh_scalar

Values = tuple[jax.Array, ...]


def chunked(
    q_BTHM: jax.Array,
    k_BTHM: jax.Array,
    values: Values,
    log_decay: jax.Array,
    segments_BT: jax.Array | None,
    *,
    chunk: int,
    strict: bool,
    change_BTH: jax.Array | None = None,
) -> tuple[Values, Values]:
    """(sums, final state) by a scan over chunks, recomputed in the backward.

    `log_decay` is (H,), (B, T, H) or (B, T, H, M); with the last a chunk is as long as
    the next power of two. With the first, `change_BTH` is a log decay of whole numbers
    that is added to the fixed one.
    """
    B, T, H, _ = values[0].shape
    M = q_BTHM.shape[-1]
    C = min(chunks.tokens(chunk), T)
    match log_decay.ndim:
        case 1:
            moving = change_BTH
            weigh = functools.partial(weigh_fixed, log_decay)
        case 3:
            moving, weigh = log_decay, weigh_scalar
        case _:
            moving, weigh = log_decay, weigh_channel
            C = 1 << (C - 1).bit_length()

    def body(carry, inputs):
        state, last_B = carry
        *within, segments_BC = inputs
        within = jax.tree.map(lambda x: jnp.swapaxes(x, 1, 2), within)
        q_BHCM, k_BHCM, values, *decay = (x for x in within if x is not None)
        # A shared head is broadcast here: as a factor of every head's weights its
        # gradient would be a slow sum of products on CPU.
        q_BHCM, k_BHCM = (jnp.broadcast_to(x, (B, H, C, M)) for x in (q_BHCM, k_BHCM))
        score_BHCC, q_BHCM, k_BHCM, kept = weigh(q_BHCM, k_BHCM, *decay, strict=strict)
        if segments_BC is not None:
            meets = chunks.meeting(segments_BC, last_B)
            score_BHCC = jnp.where(meets.same_BCC[:, None], score_BHCC, 0)
            q_BHCM = jnp.where(meets.first_BC[:, None, :, None], q_BHCM, 0)
            k_BHCM = jnp.where(meets.final_BC[:, None, :, None], k_BHCM, 0)
            kept = jnp.where(meets.through_B[:, None, None, None], kept, 0)
            last_B = segments_BC[:, -1]
        sums = tuple(
            jnp.swapaxes(score_BHCC @ v + q_BHCM @ s, 1, 2)
            for s, v in zip(state, values, strict=True)
        )
        state = tuple(
            s * kept + jnp.swapaxes(k_BHCM, 2, 3) @ v
            for s, v in zip(state, values, strict=True)
        )
        return (state, last_B), sums

    state = tuple(jnp.zeros((B, H, M, v.shape[-1]), v.dtype) for v in values)
    last_B = None if segments_BT is None else jnp.zeros_like(segments_BT[:, 0])
    inputs = jax.tree.map(
        lambda x_BT: chunks.cut(x_BT, C), (q_BTHM, k_BTHM, values, moving, segments_BT)
    )
    (state, _), sums = jax.lax.scan(jax.checkpoint(body), (state, last_B), inputs)
    return jax.tree.map(lambda x_NBC: chunks.join(x_NBC, T), sums), state
