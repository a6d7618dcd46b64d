"""Which blocks of keys a block of queries visits, and which keys it sees in each.

Axes as in `flash`: C queries of a block, S keys, J blocks of keys.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from attn_research.ops.logits import capped, spread
from attn_research.ops.masks import together
from attn_research.ops.tiles import Tiles


class Chosen(NamedTuple):
    """best_BTHM, own_BT, keys_BS: numbers of blocks of tokens, at least 0.

    The blocks that each query has chosen (-1: none), its own, and that of each key.
    """

    best: jax.Array
    own: jax.Array
    keys: jax.Array


def among(own: jax.Array, best: jax.Array, keys: jax.Array) -> jax.Array:
    """Which keys are in the block of a query, or in one of its best, ...M: ...CS."""
    kept = own == keys
    for number in jnp.split(best, best.shape[-1], axis=-1) if best.shape[-1] else ():
        kept = kept | (number == keys)
    return kept


class Block(NamedTuple):
    """A block of queries: its row, batch row and number, sizes, visits, choices."""

    r: Any
    b: Any
    i: Any
    queries: int
    keys: int
    listed: Tiles | None
    chosen: Chosen | None

    def near(self, j: Any, blocks: int) -> Any:
        """Where the distances to the key block j start among all."""
        return self.i * self.queries + (blocks - 1 - j) * self.keys


class Plan(NamedTuple):
    """What is static: mask, query and key heads, the true number of keys, the cap.

    `apart`: segments differ, if only by the zeros that fill the last block of keys.
    """

    mask: Any
    heads: int
    groups: int
    keys: int
    cap: float | None
    apart: bool

    def rows(self, row: Any) -> tuple[Any, Any, Any]:
        """The key row, the batch row and the head of a query row."""
        batch, head = row // self.heads, row % self.heads
        return batch * self.groups + head // (self.heads // self.groups), batch, head

    def walk(self, block: Block, visit: Any, carry: Any) -> Any:
        """The carry after visit(j, carry) of each key block that the block reaches."""
        b, i, C, S, listed = block.b, block.i, block.queries, block.keys, block.listed
        if listed is None:
            low, high = self.mask.span(i * C, (i + 1) * C - 1, self.keys)
            low, high = jnp.int32(low // S), jnp.int32(-(-high // S))
            return jax.lax.fori_loop(low, high, visit, carry)
        b = jnp.minimum(b, listed.count_BI.shape[0] - 1)
        return jax.lax.fori_loop(
            jnp.int32(0),
            listed.count_BI[b, i],
            lambda n, carry: visit(listed.visit_BIN[b, i, n], carry),
            carry,
        )

    def admit(self, block: Block, j: Any, segment_C, source_S) -> jax.Array:
        """Which queries of a block see which keys of the block j."""
        b, i, C, S, listed = block.b, block.i, block.queries, block.keys, block.listed
        if listed is None:
            query_C = i * C + jnp.arange(C, dtype=jnp.int32)
            key_S = j * S + jnp.arange(S, dtype=jnp.int32)
        else:
            one = jnp.minimum(b, listed.count_BI.shape[0] - 1)
            query_C, key_S = listed.query_BIC[one, i], listed.key_BJS[one, j]
        admit_CS = self.mask.admit(query_C[:, None], key_S[None])
        if self.apart:
            admit_CS = together(segment_C, source_S) & admit_CS
        if block.chosen is None:
            return admit_CS
        best_CM, own_C = block.chosen.best[block.r, i], block.chosen.own[b, i]
        keys_S = block.chosen.keys[b, j]
        return admit_CS & among(own_C[:, None], best_CM, keys_S[None])

    def score(self, raw_CS: jax.Array, bias_D: jax.Array | None) -> jax.Array:
        """The scores of scaled products: capped, with the bias of their distances."""
        score_CS = capped(raw_CS, self.cap)
        if bias_D is None:
            return score_CS
        return score_CS + spread(bias_D[None], score_CS.shape[0])[0]


def near(bias_HD: jax.Array | None, h: Any, block: Block, j: Any, blocks: int) -> Any:
    """The bias of the distances between a block and the key block j."""
    if bias_HD is None:
        return None
    size = block.queries + block.keys - 1
    return jax.lax.dynamic_slice(bias_HD, (h, block.near(j, blocks)), (1, size))[0]
