"""Motifs: short runs of tokens that form one key or one value.

The tokens of a motif are distinct, as in Poli et al., 2024, arXiv:2403.17844.
"""

import math

import jax
import jax.numpy as jnp

from attn_research.tasks.contract import Draws


def sampled(draws: Draws, count: int, alphabet: int, longest: int) -> jax.Array:
    """motif_BNJ: `longest` random distinct tokens; takes "
    "`count` * `longest` columns."""
    rank = [draws.integers(count, alphabet - j) for j in range(longest)]
    return _from_ranks(rank)


def distinct(
    draws: Draws, size_BN: jax.Array, alphabet: int, low: int, high: int
) -> jax.Array:
    """motif_BNJ: random, distinct within a row in their first `size_BN` tokens.

    Sizes lie between `low` and `high`; takes 2N columns for each size.
    """
    count = size_BN.shape[1]
    motif_BNJ = jnp.zeros((*size_BN.shape, high), jnp.int32)
    for size in range(low, high + 1):
        code_BN = draws.distinct(count, math.perm(alphabet, size))
        rank = []
        for j in range(size):
            rank.append(code_BN % (alphabet - j))
            code_BN = code_BN // (alphabet - j)
        found_BNJ = jnp.pad(_from_ranks(rank), ((0, 0), (0, 0), (0, high - size)))
        motif_BNJ = jnp.where((size_BN == size)[:, :, None], found_BNJ, motif_BNJ)
    return motif_BNJ


def _from_ranks(rank: list[jax.Array]) -> jax.Array:
    """Tokens from their ranks among those not used earlier in the motif."""
    chosen: list[jax.Array] = []
    for token_BN in rank:
        if chosen:
            taken_BNJ = jnp.sort(jnp.stack(chosen, axis=2), axis=2)
            for j in range(len(chosen)):
                over_BN = token_BN >= taken_BNJ[:, :, j]
                token_BN = jnp.where(over_BN, token_BN + 1, token_BN)
        chosen.append(token_BN)
    return jnp.stack(chosen, axis=2)
