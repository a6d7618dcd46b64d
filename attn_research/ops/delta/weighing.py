"""How a chunk of the delta rule weighs its rows: no decay, one per head, per channel.

A row erases and is queried, which are two arrays that read, and writes, along one array
of keys or two. Each function gives the products of all that reads with all that writes,
weighed by the decay between the two rows where the reader is not before the writer, and
what meets the states at both ends. Every exponent is a sum of logarithms that are at
most 0, so nothing overflows.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from attn_research.ops.chunks import spans

Rows = tuple[jax.Array, ...]


class Weighed(NamedTuple):
    """Scores (C, C), reader by writer, and the rows (C, K) as they meet the states.

    `reads` fade from the start of the chunk, `writes` to its end; `kept_BHK1` (B, H, K
    or 1, 1) is what is left of the state carried in.
    """

    scores: tuple[Rows, ...]
    reads: Rows
    writes: Rows
    kept_BHK1: jax.Array


def weigh_none(reads: Rows, writes: Rows, _: None) -> Weighed:
    """Without decay."""
    B, H = reads[0].shape[:2]
    kept_BH11 = jnp.ones((B, H, 1, 1), reads[0].dtype)
    return Weighed(products(reads, writes), reads, writes, kept_BH11)


def weigh_head(reads: Rows, writes: Rows, log_decay_BHC1: jax.Array) -> Weighed:
    """One decay per row and head: scores times a matrix of weights."""
    span = spans(log_decay_BHC1[..., 0])
    weight_BHCC = jnp.exp(span.between)
    since_BHC1, until_BHC1 = (
        jnp.exp(x_BHC)[..., None] for x_BHC in (span.since, span.until)
    )
    return Weighed(
        jax.tree.map(lambda x_BHCC: x_BHCC * weight_BHCC, products(reads, writes)),
        tuple(x_BHCK * since_BHC1 for x_BHCK in reads),
        tuple(x_BHCK * until_BHC1 for x_BHCK in writes),
        since_BHC1[:, :, -1:],
    )


def weigh_channel(reads: Rows, writes: Rows, log_decay_BHCK: jax.Array) -> Weighed:
    """One decay per row, head and channel; C must be a power of two.

    The weight of a pair depends on the channel, so both rows must carry a part of it.
    A chunk is two halves: of a pair across its middle the reader fades from the middle
    on and the writer up to it, so that both factors are at most 1; pairs within a half
    are those of two smaller chunks. Scores of readers before their writers are zero.
    After Yang et al., 2023, arXiv:2312.06635, which has two levels.
    """
    B, H, C, K = log_decay_BHCK.shape
    since, until = log_decay_BHCK, jnp.zeros_like(log_decay_BHCK)
    scores = products(*((_blocks(x, 1) for x in rows) for rows in (reads, writes)))
    size = 1
    while size < C:
        first, second = _halves(_blocks(since, size))
        to_middle, to_end = _halves(_blocks(until, size))
        fading, reaching = jnp.exp(second), jnp.exp(to_middle)
        across = products(
            (_halves(_blocks(x, size))[1] * fading for x in reads),
            (_halves(_blocks(x, size))[0] * reaching for x in writes),
        )
        scores = jax.tree.map(_doubled, scores, across)
        since = jnp.stack([first, second + first[..., -1:, :]], 3)
        until = jnp.stack([to_middle + second[..., -1:, :], to_end], 3)
        since, until = since.reshape(B, H, C, K), until.reshape(B, H, C, K)
        size *= 2
    since, until = jnp.exp(since), jnp.exp(until)
    return Weighed(
        jax.tree.map(lambda score_BH1CC: score_BH1CC[:, :, 0], scores),
        tuple(x_BHCK * since for x_BHCK in reads),
        tuple(x_BHCK * until for x_BHCK in writes),
        jnp.swapaxes(since[:, :, -1:], 2, 3),
    )


def _blocks(x_BHCK, size):
    """x as blocks (B, H, C / size, size, K)."""
    B, H, C, K = x_BHCK.shape
    return x_BHCK.reshape(B, H, C // size, size, K)


def _halves(x):
    """The first and the second of every two blocks: those of blocks twice as large."""
    B, H, N, *rest = x.shape
    pairs = x.reshape(B, H, N // 2, 2, *rest)
    return pairs[:, :, :, 0], pairs[:, :, :, 1]


def _doubled(score, across):
    """The scores of blocks twice as large: two on the diagonal, one below it."""
    first, second = _halves(score)
    upper = jnp.concatenate([first, jnp.zeros_like(first)], 4)
    return jnp.concatenate([upper, jnp.concatenate([across, second], 4)], 3)


def products(reads, writes):
    """read @ write' of every array that reads with every one that writes, as one."""
    reads, writes = list(reads), list(writes)
    read, write = jnp.concatenate(reads, -2), jnp.concatenate(writes, -2)
    every = read @ jnp.swapaxes(write, -1, -2)
    return tuple(
        tuple(jnp.split(part, len(writes), axis=-1))
        for part in jnp.split(every, len(reads), axis=-2)
    )
