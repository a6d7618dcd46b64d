"""Masks: which key each query may see, as small values that compose with `&` and `|`.

A mask is static and hashable: it shapes the compiled program. It decides one pair
(`admit`), and for a rectangle of positions whether any pair `may` be admitted and
whether the `full` rectangle is; so an op never visits what the mask discards. `may` is
never wrongly false and `full` never wrongly true. Every rule reads NumPy and JAX
arrays. Segments are data and stay an array beside the mask: if a rule depends on more
than differences of positions, these are positions within a segment.
"""

import operator
from dataclasses import dataclass
from functools import reduce
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

Index = Any  # an int, or an int32 array: positions of queries and keys


class Area(NamedTuple):
    """Rectangles of positions: queries first..last and keys low..high, inclusive.

    `length` is a bound on every position in them.
    """

    first: Index
    last: Index
    low: Index
    high: Index
    length: int


class Mask(Protocol):
    """What an op asks of a mask."""

    def admit(self, query: Index, key: Index) -> Any:
        """Whether a query at `query` may see a key at `key`, which broadcast."""
        ...

    def may(self, area: Area) -> Any:
        """Whether a query of the `area` may see a key of it; never wrongly False."""
        ...

    def full(self, area: Area) -> Any:
        """Whether all queries of the `area` see all its keys; never wrongly True."""
        ...

    def reach(self, length: int) -> int:
        """The most tokens back that a query of `length` tokens can see."""
        ...

    def __and__(self, other: "Mask") -> "Mask":
        """The mask that admits what both this one and `other` admit."""
        ...

    def __or__(self, other: "Mask") -> "Mask":
        """The mask that admits what this one or `other` admits."""
        ...


def matrix(mask: Mask, queries: int, keys: int) -> jax.Array:
    """The whole mask as a boolean TS: the oracle of every blocked form."""
    query_T1 = jnp.arange(queries, dtype=jnp.int32)[:, None]
    key_1S = jnp.arange(keys, dtype=jnp.int32)[None, :]
    return jnp.broadcast_to(mask.admit(query_T1, key_1S), (queries, keys))


def tiling(mask: Mask, queries: int, keys: int, block: int) -> np.ndarray:
    """may_IJ: which blocks of keys a block of queries may see, all of one size.

    Raises ValueError for an empty block.
    """
    if block < 1:
        raise ValueError(f"The block is {block}; it must be at least 1")
    return np.asarray(mask.may(areas(queries, keys, block, block)))


def pairs(mask: Mask, length: int, block: int = 256) -> int:
    """The number of admitted pairs of a query and a key of one sequence.

    Only blocks that the mask cuts are looked into; the others are counted whole.
    """
    if isinstance(mask, Band):
        return _beside(length, mask.left) + _beside(length, mask.right) + length
    area = areas(length, length, block, block)
    may_IJ, full_IJ = mask.may(area), mask.full(area)
    sizes_I = np.minimum(block, length - block * np.arange(-(-length // block)))
    total = int((sizes_I[:, None] * sizes_I)[full_IJ].sum())
    for i, j in np.argwhere(may_IJ & ~full_IJ).tolist():
        query_C = np.arange(sizes_I[i], dtype=np.int32) + i * block
        key_S = np.arange(sizes_I[j], dtype=np.int32) + j * block
        total += int(mask.admit(query_C[:, None], key_S[None]).sum())
    return total


def areas(queries: int, keys: int, rows: int, columns: int) -> Area:
    """The rectangles of blocks of `rows` queries and `columns` keys, as NumPy IJ."""
    first_I1 = np.arange(0, queries, rows, dtype=np.int32)[:, None]
    low_1J = np.arange(0, keys, columns, dtype=np.int32)[None]
    last_I1 = np.minimum(first_I1 + rows, queries) - 1
    high_1J = np.minimum(low_1J + columns, keys) - 1
    ends: Any = np.broadcast_arrays(first_I1, last_I1, low_1J, high_1J)
    return Area(*ends, length=max(queries, keys))


@dataclass(frozen=True)
class Several:
    """Any or all of some masks."""

    rule: str
    masks: tuple[Any, ...]

    def __and__(self, other: Mask) -> "Several":
        """The mask that admits what both this one and `other` admit."""
        return Several("all", (self, other))

    def __or__(self, other: Mask) -> "Several":
        """The mask that admits what this one or `other` admits."""
        return Several("any", (self, other))

    def admit(self, query: Index, key: Index) -> Any:
        """Whether `query` may see `key`; the positions broadcast."""
        return self._joined([mask.admit(query, key) for mask in self.masks])

    def may(self, area: Area) -> Any:
        """Whether any or all of the masks may in the `area`, not always one pair."""
        return self._joined([mask.may(area) for mask in self.masks])

    def full(self, area: Area) -> Any:
        """Whether any or all of the masks are full in the `area`."""
        return self._joined([mask.full(area) for mask in self.masks])

    def reach(self, length: int) -> int:
        """The largest, or the smallest, reach of the masks within `length`."""
        reaches = [mask.reach(length) for mask in self.masks]
        return max(reaches) if self.rule == "any" else min(reaches)

    def _joined(self, parts: list[Any]) -> Any:
        return reduce(operator.or_ if self.rule == "any" else operator.and_, parts)


@dataclass(frozen=True)
class Band:
    """Query t sees key s where t - left <= s <= t + right; None: unbounded."""

    left: int | None = None
    right: int | None = None

    def __and__(self, other: Any) -> Any:
        """The mask that admits what both this one and `other` admit."""
        if not isinstance(other, Band):
            return Several("all", (self, other))
        return Band(_least(self.left, other.left), _least(self.right, other.right))

    def __or__(self, other: Mask) -> Several:
        """The mask that admits what this one or `other` admits."""
        return Several("any", (self, other))

    def admit(self, query: Index, key: Index) -> Any:
        """Whether `query` may see `key`; the positions broadcast."""
        bounds = []
        if self.left is not None:
            bounds.append(key >= query - self.left)
        if self.right is not None:
            bounds.append(key <= query + self.right)
        return reduce(operator.and_, bounds, key == key)

    def may(self, area: Area) -> Any:
        """Whether the nearest corner of the `area` lies in the band."""
        bounds = [area.low == area.low]
        if self.left is not None:
            bounds.append(area.high >= area.first - self.left)
        if self.right is not None:
            bounds.append(area.low <= area.last + self.right)
        return reduce(operator.and_, bounds)

    def full(self, area: Area) -> Any:
        """Whether the farthest corner of the `area` lies in the band."""
        bounds = [area.low == area.low]
        if self.left is not None:
            bounds.append(area.low >= area.last - self.left)
        if self.right is not None:
            bounds.append(area.high <= area.first + self.right)
        return reduce(operator.and_, bounds)

    def reach(self, length: int) -> int:
        """`left`, at most `length`; `length` if it is unbounded."""
        return length if self.left is None else min(self.left, length)

    def span(self, first: Index, last: Index, keys: int) -> tuple[Index, Index]:
        """The `keys` [low, high) that queries `first`..`last` can reach."""
        low = 0 if self.left is None else jnp.maximum(first - self.left, 0)
        if self.right is None:
            return low, keys
        return low, jnp.minimum(last + self.right + 1, keys)


FULL = Band()
CAUSAL = Band(right=0)


def window(left: int, right: int) -> Band:
    """The mask of a window of `left` keys before a query, itself and `right` after.

    Raises ValueError if one of them is below 0.
    """
    if left < 0 or right < 0:
        raise ValueError(
            f"A window reaches {left} back, {right} ahead; both must be at least 0"
        )
    return Band(left, right)


def together(segments_BT: jax.Array, source_BS: jax.Array) -> jax.Array:
    """Whether query and key share a segment, as BTS; segment 0 sees nothing.

    The leading axes are arbitrary, so blocks of segments may be given too.
    """
    query = segments_BT[..., :, None]
    return (query == source_BS[..., None, :]) & (query != 0)


def _least(one: int | None, two: int | None) -> int | None:
    bounds = [bound for bound in (one, two) if bound is not None]
    return min(bounds, default=None)


def _beside(length: int, side: int | None) -> int:
    """Pairs strictly to one side: the sum over queries of min(position, side)."""
    side = length - 1 if side is None else min(side, length - 1)
    return side * (side + 1) // 2 + (length - 1 - side) * side
