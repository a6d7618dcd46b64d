"""Chunks of a sequence: cutting, joining, shared segments, and decay between tokens.

What the chunked forms of linear attention, the delta rule and mLSTM share: within a
chunk every token meets every earlier one, between chunks a state is carried.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from attn_research.ops.platform import accelerated

LEAST = 128


def real(x_BT: jax.Array, segments_BT: jax.Array | None) -> jax.Array:
    """x with zeros at padding: chosen, not multiplied, for padding may hold NaN."""
    if segments_BT is None:
        return x_BT
    real_BT = jnp.expand_dims(segments_BT != 0, tuple(range(2, x_BT.ndim)))
    return jnp.where(real_BT, x_BT, 0)


def tokens(chunk: int) -> int:
    """The tokens of a chunk here, of the `chunk` that was asked for.

    On an accelerator at least `LEAST`: there a step costs more than its products.
    """
    return max(chunk, LEAST) if accelerated() else chunk


def cut(x_BT: jax.Array, chunk: int) -> jax.Array:
    """x (B, T, ...) as chunks (N, B, C, ...), with zeros before the first token.

    Padded on the left: zeros there change neither a sum nor its final state.
    """
    B, T, *rest = x_BT.shape
    x_BT = jnp.pad(x_BT, [(0, 0), (-T % chunk, 0)] + [(0, 0)] * len(rest))
    return jnp.moveaxis(x_BT.reshape(B, -1, chunk, *rest), 1, 0)


def join(x_NBC: jax.Array, length: int) -> jax.Array:
    """The last `length` tokens (B, T, ...) of chunks (N, B, C, ...): undoes `cut`."""
    N, B, C, *rest = x_NBC.shape
    return jnp.moveaxis(x_NBC, 0, 1).reshape(B, N * C, *rest)[:, N * C - length :]


class Meeting(NamedTuple):
    """Which tokens of a chunk share a segment with each other and with either state.

    same_BCC: both tokens are in one segment; first_BC: the token continues the last
    segment of the previous chunk; final_BC: it is in the last segment of this chunk;
    through_B: these are the same segment, so that the state passes through.
    """

    same_BCC: jax.Array
    first_BC: jax.Array
    final_BC: jax.Array
    through_B: jax.Array


def meeting(segments_BC: jax.Array, last_B: jax.Array) -> Meeting:
    """The `Meeting` of a chunk after one that ended in segment `last_B`."""
    end_B = segments_BC[:, -1]
    return Meeting(
        segments_BC[:, :, None] == segments_BC[:, None, :],
        segments_BC == last_B[:, None],
        segments_BC == end_B[:, None],
        last_B == end_B,
    )


def triangle(size: int, *, strict: bool = False) -> jax.Array:
    """bool (C, C): true if the source is not after (strict: before) the query.

    The query is the first axis.
    """
    position_C = jnp.arange(size)
    back_CC = position_C[:, None] - position_C[None, :]
    return back_CC > 0 if strict else back_CC >= 0


class Span(NamedTuple):
    """Sums of logarithms over the tokens of a chunk.

    between (..., C, C): over r with s < r <= t, for t >= s, else 0; since (..., C):
    over r <= t, from the start of the chunk; until (..., C): over r > s, to its end.
    """

    between: jax.Array
    since: jax.Array
    until: jax.Array


def spans(log_C: jax.Array) -> Span:
    """The `Span` of logarithms (..., C) that are at most 0.

    Each sum is a sum, not a difference of two cumulative sums: one strong decay in the
    chunk would cost all others their digits. A matrix product does it fastest.
    """
    C = log_C.shape[-1]
    after_SR = jnp.expand_dims(triangle(C, strict=True).T, tuple(range(log_C.ndim - 1)))
    terms_SR = jnp.where(after_SR, log_C[..., None, :], 0)
    # Rounded to TensorFloat-32, an exponent of 100 would be off by 0.05.
    between_ST = jnp.matmul(
        terms_SR.reshape(-1, C),
        triangle(C).T.astype(log_C.dtype),
        precision=jax.lax.Precision.HIGHEST,
    ).reshape(terms_SR.shape)
    since = between_ST[..., 0, :] + log_C[..., :1]
    return Span(jnp.swapaxes(between_ST, -1, -2), since, between_ST[..., -1])
