"""The generalised delta rule by chunks: a triangular system within, a state between.

The updates of a token are rows of their own, so that a chunk is C rows. What they erase
depends on each other:

    (1 + A) u = v - e' S,  A_ts = e_t . a_{s+1} ... a_t k_s  for s < t,

if r = k; S is the state carried in, e' is e that fades from the start of the chunk.
Else (1 + A) u = -(e' S + B v) with r in the place of k in A, and B made of e and k. It
is solved by products (Yang et al., 2024, arXiv:2406.06484). The backward recomputes
each chunk from the state carried into it.
"""

import functools

import jax
import jax.numpy as jnp

from attn_research.ops import chunks, triangular
from attn_research.ops.delta.weighing import weigh_channel, weigh_head, weigh_none


def chunked(arrays, segments_BT, chunk: int):
    """(out_BTHE, final state) of (q, k, v, erase, remove, log_decay), see `general`."""
    J = arrays[1].shape[2]
    q_BRHK, k_BRHK, v_BRHE, erase_BRHK, remove_BRHK, log_decay_BRHK = _rows(*arrays)
    if segments_BT is not None:
        segments_BT = jnp.repeat(segments_BT, J, axis=1)
    B, R, H, K = q_BRHK.shape
    C = min(chunks.tokens(chunk), R)
    weigh = weigh_none if log_decay_BRHK is None else weigh_head
    if log_decay_BRHK is not None and log_decay_BRHK.shape[-1] > 1:
        weigh, C = weigh_channel, 1 << (C - 1).bit_length()
    reads, values = (erase_BRHK, q_BRHK), v_BRHE
    writes = (k_BRHK,) if remove_BRHK is None else (remove_BRHK, k_BRHK)
    inputs = jax.tree.map(
        lambda x_BR: chunks.cut(x_BR, C),
        (segments_BT, reads, writes, values, log_decay_BRHK),
    )
    last_B = None if segments_BT is None else jnp.zeros_like(segments_BT[:, 0])
    state_BHKE = jnp.zeros((B, H, K, v_BRHE.shape[-1]), v_BRHE.dtype)
    body = jax.checkpoint(functools.partial(_chunk, weigh))
    (state_BHKE, _), out_NBCHE = jax.lax.scan(body, (state_BHKE, last_B), inputs)
    return chunks.join(out_NBCHE, R)[:, J - 1 :: J], state_BHKE


def _rows(q_BTHK, k_BTJHK, v_BTJHE, erase_BTJHK, remove_BTJHK, log_decay_BTHK):
    """The arrays with a row (B, T J, H, ...) for each update.

    The query of a token is that of its last row, its decay that of its first.
    """
    B, T, J, H, _ = k_BTJHK.shape

    def alone(x_BTHK, before, after):
        rows = [(0, 0), (0, 0), (before, after), (0, 0), (0, 0)]
        return None if x_BTHK is None else jnp.pad(x_BTHK[:, :, None], rows)

    def rows(x_BTJHK):
        return x_BTJHK.reshape(B, T * J, H, -1)

    q_BTJHK = alone(q_BTHK, J - 1, 0)
    log_decay_BTJHK = alone(log_decay_BTHK, 0, J - 1)

    given = q_BTJHK, k_BTJHK, v_BTJHE, erase_BTJHK, remove_BTJHK, log_decay_BTJHK
    return jax.tree.map(rows, given)


def _chunk(weigh, carry, inputs):
    """((state, last segment), out_BCHE) after one more chunk."""
    state_BHKE, last_B = carry
    segments_BC, *arrays = inputs
    arrays = jax.tree.map(lambda x_BCH: jnp.swapaxes(x_BCH, 1, 2), arrays)
    reads, writes, v_BHCE, log_decay_BHCK = arrays
    C = v_BHCE.shape[2]
    scores, reads, writes, kept_BHK1 = weigh(reads, writes, log_decay_BHCK)
    strict_11CC, seen_11CC = (
        chunks.triangle(C, strict=strict)[None, None] for strict in (True, False)
    )
    if segments_BC is not None:
        meets = chunks.meeting(segments_BC, last_B)
        same_B1CC = meets.same_BCC[:, None]
        strict_11CC, seen_11CC = strict_11CC & same_B1CC, seen_11CC & same_B1CC
        first_BHCK, final_BHCK = (
            x_BC[:, None, :, None] for x_BC in (meets.first_BC, meets.final_BC)
        )
        reads = tuple(jnp.where(first_BHCK, x_BHCK, 0) for x_BHCK in reads)
        writes = tuple(jnp.where(final_BHCK, x_BHCK, 0) for x_BHCK in writes)
        kept_BHK1 = jnp.where(meets.through_B[:, None, None, None], kept_BHK1, 0)
        last_B = segments_BC[:, -1]
    erase, query = (
        [jnp.where(mask, x_BHCC, 0) for x_BHCC in row]
        for mask, row in zip((strict_11CC, seen_11CC), scores, strict=True)
    )
    held_BHCE, out_BHCE = jnp.split(jnp.concatenate(reads, 2) @ state_BHKE, 2, axis=2)
    updates = _updates(erase, v_BHCE, held_BHCE)
    state_BHKE = state_BHKE * kept_BHK1
    for query_BHCC, write_BHCK, update_BHCE in zip(query, writes, updates, strict=True):
        out_BHCE = out_BHCE + query_BHCC @ update_BHCE
        state_BHKE = state_BHKE + jnp.swapaxes(write_BHCK, 2, 3) @ update_BHCE
    return (state_BHKE, last_B), jnp.swapaxes(out_BHCE, 1, 2)


def _updates(erase, v_BHCE, held_BHCE):
    """What is added along the rows of each of the arrays that write."""
    if len(erase) == 1:
        return (triangular.solve(erase[0], v_BHCE - held_BHCE),)
    removed_BHCC, written_BHCC = erase
    known_BHCE = held_BHCE + written_BHCC @ v_BHCE
    return triangular.solve(removed_BHCC, -known_BHCE), v_BHCE
