"""Masks: which key each query may see, as small values that compose with `&`.

A mask is static and hashable: it shapes the compiled program. What it must offer is
`admit`, evaluated one block at a time, and `span`, the keys a block of queries can
reach at all, so that an op never visits what the mask discards. Segments are data and
stay an array beside the mask.
"""

import operator
from dataclasses import dataclass
from functools import reduce
from typing import Any, Protocol

import jax
import jax.numpy as jnp

Index = Any  # an int, or an int32 array: positions of queries and keys


class Mask(Protocol):
    """What an op asks of a mask."""

    def admit(self, query: Index, key: Index) -> Any:
        """Whether the query at a position may see the key at a position."""
        ...

    def span(self, first: Index, last: Index, keys: int) -> tuple[Index, Index]:
        """The keys [low, high) outside which queries first..last see nothing."""
        ...


@dataclass(frozen=True)
class Band:
    """Query t sees key s where t - left <= s <= t + right; None is no bound."""

    left: int | None = None
    right: int | None = None

    def __and__(self, other: "Band") -> "Band":
        return Band(_least(self.left, other.left), _least(self.right, other.right))

    def admit(self, query: Index, key: Index) -> Any:
        """Whether the query may see the key; positions broadcast."""
        bounds = []
        if self.left is not None:
            bounds.append(key >= query - self.left)
        if self.right is not None:
            bounds.append(key <= query + self.right)
        return reduce(operator.and_, bounds, key == key)

    def span(self, first: Index, last: Index, keys: int) -> tuple[Index, Index]:
        """The keys [low, high) that queries first..last can reach."""
        low = 0 if self.left is None else jnp.maximum(first - self.left, 0)
        if self.right is None:
            return low, keys
        return low, jnp.minimum(last + self.right + 1, keys)

    def dense(self, queries: int, keys: int) -> jax.Array:
        """The whole mask as a boolean TS: the oracle of every blocked form."""
        query_T1 = jnp.arange(queries)[:, None]
        key_1S = jnp.arange(keys)[None, :]
        return jnp.broadcast_to(self.admit(query_T1, key_1S), (queries, keys))

    def pairs(self, length: int) -> int:
        """The number of admitted pairs of a query and a key of one sequence."""
        return _reach(length, self.left) + _reach(length, self.right) + length


FULL = Band()
CAUSAL = Band(right=0)


def window(left: int, right: int) -> Band:
    """The mask of a window of `left` keys before a query, itself and `right` after."""
    if left < 0 or right < 0:
        raise ValueError(f"A window reaches {left} back, {right} ahead; 0 is the least")
    return Band(left, right)


def together(segments_BT: jax.Array, source_BS: jax.Array) -> jax.Array:
    """Whether query and key share a segment, as BTS; segment 0 sees nothing.

    Any leading axes; two blocks of segments give the block between them.
    """
    query = segments_BT[..., :, None]
    return (query == source_BS[..., None, :]) & (query != 0)


def _least(one: int | None, two: int | None) -> int | None:
    bounds = [bound for bound in (one, two) if bound is not None]
    return min(bounds, default=None)


def _reach(length: int, side: int | None) -> int:
    """Pairs strictly to one side: the sum over queries of min(position, side)."""
    side = length - 1 if side is None else min(side, length - 1)
    return side * (side + 1) // 2 + (length - 1 - side) * side
