"""Which blocks of keys a block of queries visits, and which keys it sees in each.

Axes as in `flash`: C queries of a block, S keys, J blocks of keys.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from attn_research.ops.logits import capped, spread
from attn_research.ops.masks import together
from attn_research.ops.platform import accelerated
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


class At(NamedTuple):
    """Leading indices of one row in arrays with an axis R, X, B, H, and in the tiles.

    Numbers in a loop over rows; nothing if the arrays are those of one row.
    """

    row: tuple[Any, ...] = ()
    key: tuple[Any, ...] = ()
    batch: tuple[Any, ...] = ()
    head: tuple[Any, ...] = ()
    tiles: tuple[Any, ...] = ()


class Block(NamedTuple):
    """A block of queries: its row, number, sizes, all key blocks, visits, choices."""

    at: At
    i: Any
    queries: int
    keys: int
    blocks: int
    listed: Tiles | None
    chosen: Chosen | None

    def near(self, j: Any) -> Any:
        """Where the distances to the key block j start among all."""
        return self.i * self.queries + (self.blocks - 1 - j) * self.keys

    def places(self, j: Any) -> tuple[Any, Any]:
        """The positions that a mask reads of the queries, and of the key block j."""
        if self.listed is not None:
            tiles = self.at.tiles
            query_C = self.listed.query_BIC[*tiles, self.i]
            return query_C, self.listed.key_BJS[*tiles, j]
        query_C = self.i * self.queries + jnp.arange(self.queries, dtype=jnp.int32)
        return query_C, j * self.keys + jnp.arange(self.keys, dtype=jnp.int32)


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

    def walk(self, block: Block, visit: Any, carry: Any) -> Any:
        """The carry after visit(j, carry) of each key block that the block reaches."""
        i, C, S, listed = block.i, block.queries, block.keys, block.listed
        if listed is None:
            low, high = self.mask.span(i * C, (i + 1) * C - 1, self.keys)
            low, high = jnp.int32(low // S), jnp.int32(-(-high // S))
            if accelerated():
                return self._steady(block, low, visit, carry)
            return jax.lax.fori_loop(low, high, visit, carry)
        tiles = block.at.tiles
        return jax.lax.fori_loop(
            jnp.int32(0),
            listed.count_BI[*tiles, i],
            lambda n, carry: visit(listed.visit_BIN[*tiles, i, n], carry),
            carry,
        )

    def _steady(self, block: Block, low: Any, visit: Any, carry: Any) -> Any:
        """`walk` of a band by as many visits for every block of queries.

        An accelerator asks its host after each step of a loop whose end is data. What
        is visited in vain is outside the band.
        """
        count = block.blocks
        if self.mask.left is not None and self.mask.right is not None:
            wide = self.mask.left + block.queries + self.mask.right
            count = min(count, 1 - (1 - wide) // block.keys)
        first = jnp.minimum(low, block.blocks - count)
        if count == 1:
            return visit(first, carry)
        return jax.lax.fori_loop(
            0, count, lambda n, carry: visit(first + n, carry), carry
        )

    def admit(self, block: Block, j: Any, segment_C, source_S) -> jax.Array:
        """Which queries of a block see which keys of the block j."""
        at, i = block.at, block.i
        query_C, key_S = block.places(j)
        admit_CS = self.mask.admit(query_C[:, None], key_S[None])
        if self.apart:
            admit_CS = together(segment_C, source_S) & admit_CS
        if block.chosen is None:
            return admit_CS
        best_CM = block.chosen.best[*at.row, i]
        own_C = block.chosen.own[*at.batch, i]
        keys_S = block.chosen.keys[*at.batch, j]
        return admit_CS & among(own_C[:, None], best_CM, keys_S[None])

    def score(
        self, raw_CS: jax.Array, bias_D: jax.Array | None, fade_CS: jax.Array | None
    ) -> jax.Array:
        """The scores of scaled products: capped, with the bias of their distances."""
        score_CS = capped(raw_CS, self.cap)
        if fade_CS is not None:
            score_CS = score_CS + fade_CS
        if bias_D is None:
            return score_CS
        return score_CS + spread(bias_D[None], score_CS.shape[0])[0]


def near(bias_HD: jax.Array | None, block: Block, j: Any) -> Any:
    """The bias of the distances between a block and the key block j."""
    if bias_HD is None:
        return None
    bias_D = bias_HD[*block.at.head]
    size = block.queries + block.keys - 1
    return jax.lax.dynamic_slice(bias_D, (block.near(j),), (size,))
