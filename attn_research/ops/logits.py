"""Changes to the scores of attention, before and in the softmax.

A cap: c tanh(score / c) (Gemma 2, arXiv:2408.00118). A bias by distance, different in
every head: ALiBi (Press et al., 2021, arXiv:2108.12409) and T5's learned buckets
(Raffel et al., 2019, arXiv:1910.10683). A sink: one more logit per head, which takes
its share of the weight and has no value (gpt-oss, arXiv:2508.10925; after Xiao et al.,
2023, arXiv:2309.17453). Forget gates: see `forgetting`.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Logits(NamedTuple):
    """A cap, then a bias for distances 1 - S .. T - 1 of T queries and S keys; sinks.

    `bias_HD[h, t - s + S - 1]` is added to the score of query t on key s; `sink_H` is
    the logit of a key without a value, one for each head. `log_forget_BTH` (at most 0)
    are logarithms of forget gates: a score gets the sum of those of the tokens after
    its key up to its query, or after its query up to its key.
    """

    cap: float | None = None
    bias_HD: jax.Array | None = None
    sink_H: jax.Array | None = None
    log_forget_BTH: jax.Array | None = None


PLAIN = Logits()


def capped(score: jax.Array, cap: float | None) -> jax.Array:
    """The scores, squeezed smoothly between -cap and cap."""
    return score if cap is None else cap * jnp.tanh(score / cap)


def distances(queries: int, keys: int) -> jax.Array:
    """All t - s in order: 1 - keys .. queries - 1."""
    return jnp.arange(1 - keys, queries, dtype=jnp.int32)


def spread(bias_HD: jax.Array, queries: int) -> jax.Array:
    """bias_HTS of `bias_HD`, by slices that overlap: no gather, no T x S of indices.

    Row t is the reversed window of S numbers that starts at t.
    """
    H, D = bias_HD.shape
    keys = D - queries + 1
    # In rows of D + 1 a repetition of period D moves on by one number a row.
    turns = -(-(queries * (D + 1)) // D)
    flat = jnp.tile(bias_HD, (1, turns))[:, : queries * (D + 1)]
    return flat.reshape(H, queries, D + 1)[:, :, keys - 1 :: -1]


def slopes(heads: int) -> np.ndarray:
    """The slopes of ALiBi: 2^(-8 h / n) for h = 1..n with n heads, a power of two.

    Between powers: those of the power below, then every other one of the power above.
    """
    below = 2 ** math.floor(math.log2(heads))
    first = 2.0 ** (-8 * np.arange(1, below + 1) / below)
    more = 2.0 ** (-4 * np.arange(1, 2 * below, 2) / below)
    return np.concatenate([first, more[: heads - below]])


def alibi(distance: jax.Array, heads: int, dtype) -> jax.Array:
    """-slope |distance| on a first axis H."""
    slope_H = jnp.asarray(slopes(heads), dtype)
    far = jnp.abs(distance).astype(dtype)[None]
    return -slope_H.reshape(-1, *[1] * distance.ndim) * far


def bucket(distance: jax.Array, buckets: int, most: int, causal: bool) -> jax.Array:
    """T5's bucket of a distance t - s: exact if short, then logarithmic up to `most`.

    If not causal, half of the buckets are for keys ahead.
    """
    offset = jnp.zeros_like(distance)
    if causal:
        far = jnp.maximum(distance, 0)
    else:
        buckets //= 2
        offset = jnp.where(distance < 0, buckets, 0)
        far = jnp.abs(distance)
    exact = max(buckets // 2, 1)
    ratio = jnp.log(jnp.maximum(far, 1).astype(jnp.float32) / exact)
    share = ratio / max(math.log(most / exact), 1e-6)
    coarse = exact + (share * (buckets - exact)).astype(jnp.int32)
    coarse = jnp.minimum(coarse, buckets - 1)
    return offset + jnp.where(far < exact, far, coarse)
