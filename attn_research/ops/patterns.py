"""Sparse masks: global tokens, strides, blocks and random links.

Each depends on positions within a sequence only: a sequence in a packed row sees the
same as alone. Global tokens: Beltagy et al., 2020, arXiv:2004.05150;
strides: Child et al., 2019, arXiv:1904.10509; random links: Zaheer et al., 2020,
arXiv:2007.14062.
"""

import operator
from dataclasses import dataclass
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.ops.masks import Area, Index, Mask, Several


@dataclass(frozen=True)
class Globals:
    """The first `tokens` of a sequence see, and are seen by, every other."""

    tokens: int

    def __and__(self, other: Mask) -> Several:
        """The mask that admits what both this one and `other` admit."""
        return Several("all", (self, other))

    def __or__(self, other: Mask) -> Several:
        """The mask that admits what this one or `other` admits."""
        return Several("any", (self, other))

    def admit(self, query: Index, key: Index) -> Any:
        """Whether `query` or `key`, positions that broadcast, is global."""
        return (query < self.tokens) | (key < self.tokens)

    def may(self, area: Area) -> Any:
        """Whether a query or a key of the `area` is global."""
        return (area.first < self.tokens) | (area.low < self.tokens)

    def full(self, area: Area) -> Any:
        """Whether all queries, or all keys, of the `area` are global."""
        return (area.last < self.tokens) | (area.high < self.tokens)

    def reach(self, length: int) -> int:
        """`length`, as global tokens are seen from everywhere; 0 without any."""
        return length if self.tokens else 0


@dataclass(frozen=True)
class Stride:
    """Query t sees the keys at a whole number of steps of `step` tokens from it."""

    step: int

    def __and__(self, other: Mask) -> Several:
        """The mask that admits what both this one and `other` admit."""
        return Several("all", (self, other))

    def __or__(self, other: Mask) -> Several:
        """The mask that admits what this one or `other` admits."""
        return Several("any", (self, other))

    def admit(self, query: Index, key: Index) -> Any:
        """Whether the step divides `query` - `key`; the positions broadcast."""
        return (query - key) % self.step == 0

    def may(self, area: Area) -> Any:
        """Whether a multiple of the step lies within the distances of the `area`."""
        most, least = area.last - area.low, area.first - area.high
        return most // self.step * self.step >= least

    def full(self, area: Area) -> Any:
        """Whether each distance of the `area` is a multiple: step 1, or one pair."""
        alone = (area.first == area.last) & (area.low == area.high)
        return (alone | (self.step == 1)) & self.may(area)

    def reach(self, length: int) -> int:
        """`length`: a step back may be any multiple."""
        return length


@dataclass(frozen=True)
class Local:
    """Tokens see their own block of `size` tokens."""

    size: int

    def __and__(self, other: Mask) -> Several:
        """The mask that admits what both this one and `other` admit."""
        return Several("all", (self, other))

    def __or__(self, other: Mask) -> Several:
        """The mask that admits what this one or `other` admits."""
        return Several("any", (self, other))

    def admit(self, query: Index, key: Index) -> Any:
        """Whether the positions `query` and `key`, which broadcast, share a block."""
        return query // self.size == key // self.size

    def may(self, area: Area) -> Any:
        """Whether a block holds both a query and a key of the `area`."""
        first, last, low, high = (end // self.size for end in area[:4])
        return (first <= high) & (low <= last)

    def full(self, area: Area) -> Any:
        """Whether all queries and keys of the `area` are in one block."""
        first, last, low, high = (end // self.size for end in area[:4])
        return (first == high) & (low == last)

    def reach(self, length: int) -> int:
        """The tokens of a block besides one itself, at most `length`."""
        return min(self.size - 1, length)


@dataclass(frozen=True)
class Random:
    """Each block of `size` tokens is linked to up to `links` random earlier ones.

    Linked blocks see each other. Block n > 0 draws from 0..n-1, with repetitions, from
    the seed and n only: a sequence has the links of any longer one, and the causal
    links are half of those in both directions.
    """

    links: int
    size: int
    seed: int

    def __and__(self, other: Mask) -> Several:
        """The mask that admits what both this one and `other` admit."""
        return Several("all", (self, other))

    def __or__(self, other: Mask) -> Several:
        """The mask that admits what this one or `other` admits."""
        return Several("any", (self, other))

    def admit(self, query: Index, key: Index) -> Any:
        """Whether the blocks of `query` and `key`, which broadcast, are linked."""
        query, key = query // self.size, key // self.size
        late, early = _ends(query, key)
        return reduce(
            operator.or_,
            [early == self._drawn(late, n) for n in range(self.links)],
        ) & (early < late)

    def may(self, area: Area) -> Any:
        """Whether blocks of queries and keys of the `area` are linked, by sums."""
        blocks = -(-area.length // self.size)
        block_N = np.arange(blocks, dtype=np.int32)
        linked_NN = self.admit(block_N[:, None] * self.size, block_N[None] * self.size)
        table = np.zeros((blocks + 1, blocks + 1), np.int32)
        table[1:, 1:] = linked_NN.cumsum(0).cumsum(1)
        bounds = [
            (end // self.size + after).clip(0, blocks)
            for end, after in zip(area[:4], (0, 1, 0, 1), strict=True)
        ]
        first, last, low, high = bounds
        if isinstance(first, jax.Array):
            table = jnp.asarray(table)
            shape = jnp.broadcast_shapes(first.shape, low.shape)
            first, last, low, high = (jnp.broadcast_to(b, shape) for b in bounds)
        within = table[last, high] - table[first, high]
        return within - table[last, low] + table[first, low] > 0

    def full(self, area: Area) -> Any:
        """Whether the `area` lies within two linked blocks, one on each side."""
        first, last, low, high = (end // self.size for end in area[:4])
        return (first == last) & (low == high) & self.admit(area.first, area.low)

    def reach(self, length: int) -> int:
        """`length`: any earlier block may be linked."""
        return length

    def _drawn(self, block: Index, n: int) -> Index:
        """The n-th draw of a block: a hash of 32 bits, modulo the block's number."""
        bits = block.astype(np.uint32) * np.uint32(0x9E3779B1)
        bits = bits + np.uint32((self.seed * 0x85EBCA77 + n * 0xC2B2AE3D) % 2**32)
        for factor in (0x7FEB352D, 0x846CA68B):
            bits = (bits ^ (bits >> np.uint32(16))) * np.uint32(factor)
        bits = bits ^ (bits >> np.uint32(16))
        return (bits % block.clip(1).astype(np.uint32)).astype(np.int32)


def _ends(one: Index, two: Index) -> tuple[Index, Index]:
    library = jnp if isinstance(one, jax.Array) else np
    return library.maximum(one, two), library.minimum(one, two)
