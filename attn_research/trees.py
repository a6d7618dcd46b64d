"""Trees of arrays as flat tables by path, and the first difference of two of them.

A leaf is named by its path (`layers/0/kernel`), in a dict, a list, a NamedTuple or a
dataclass alike, so that two trees are matched by name and never by position.
"""

import hashlib
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np

CHUNK = 1 << 26  # bytes that are digested at a time
_PART = re.compile(r"[A-Za-z0-9_-]+")


class Kind(NamedTuple):
    """What a leaf must be: its dtype and its shape; None is an axis of any size."""

    dtype: str
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        sizes = ("any" if size is None else str(size) for size in self.shape)
        return f"{self.dtype}[{', '.join(sizes)}]"


@runtime_checkable
class Lying(Protocol):
    """A row of numbers that lies in files and is read where it is asked for."""

    dtype: np.dtype
    shape: tuple[int, ...]

    def rows(self, start_B: np.ndarray, length: int) -> np.ndarray:
        """row_BT: the `length` numbers from each start on."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice) -> np.ndarray: ...


def paths(tree: Any) -> dict[str, Any]:
    """Path -> leaf; raises `ValueError` if two leaves share a path.

    A tree that is one leaf has it at the path "value".
    """
    named: dict[str, Any] = {}
    for keys, leaf in jax.tree_util.tree_leaves_with_path(tree):
        path = "/".join(map(_part, keys)) or "value"
        if path in named:
            raise ValueError(f"Two leaves of a tree are named {path!r}")
        named[path] = leaf
    return named


def _part(key: Any) -> str:
    for attribute in ("key", "idx", "name"):
        if hasattr(key, attribute):
            part = str(getattr(key, attribute))
            if not _PART.fullmatch(part):
                raise ValueError(
                    f"A leaf of a tree is named {part!r}; names must be made of "
                    "letters, digits, _ and -"
                )
            return part
    raise ValueError(f"A tree has the key {key!r}; keys must be names or numbers")


def nest(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """Path -> leaf as nested dicts with string keys."""
    tree: dict[str, Any] = {}
    for path, leaf in leaves.items():
        *groups, name = path.split("/")
        node = tree
        for group in groups:
            node = node.setdefault(group, {})
        node[name] = leaf
    return tree


def kinds(tree: Any) -> dict[str, Kind]:
    """Path -> dtype and shape, of arrays, shapes (`jax.eval_shape`) and numbers."""
    return {path: kind(leaf) for path, leaf in paths(tree).items()}


def kind(leaf: Any) -> Kind:
    """The dtype and shape of one leaf."""
    if not hasattr(leaf, "dtype"):
        leaf = np.asarray(leaf)
    return Kind(str(leaf.dtype), tuple(leaf.shape))


def difference(found: Mapping[str, Kind], wanted: Mapping[str, Kind]) -> str | None:
    """The first difference of `found` from `wanted`, or None.

    A path that only one of them has comes first, then a leaf of another dtype or shape.
    """
    for path in sorted(set(found) ^ set(wanted)):
        return f"{path} is {'unexpected' if path in found else 'missing'}"
    for path, have in found.items():
        want = wanted[path]
        same = len(have.shape) == len(want.shape) and all(
            size in (None, own)
            for size, own in zip(want.shape, have.shape, strict=True)
        )
        if not same or have.dtype != want.dtype:
            return f"{path} is {have}, it must be {want}"
    return None


def digest(tree: Any) -> str:
    """16 hexadecimal digits of the paths, kinds and bytes of host arrays, "" if none.

    Reads memory-mapped and `Lying` arrays a chunk at a time.
    """
    leaves = {
        path: leaf if isinstance(leaf, Lying) else np.asarray(leaf).reshape(-1)
        for path, leaf in paths(tree).items()
    }
    named = kinds(tree)
    total = hashlib.blake2b(digest_size=8)
    with ThreadPoolExecutor(2) as threads:
        for path in sorted(leaves):
            row: Any = leaves[path]  # a view, unless the array is strided
            total.update(f"{path} {named[path]}\0".encode())
            step = max(1, CHUNK // max(1, row.dtype.itemsize))

            def digested(start: int, row: Any = row, step: int = step) -> bytes:
                return _chunk_digest(row[start : start + step])

            for part in threads.map(digested, range(0, len(row), step)):
                total.update(part)
    return total.hexdigest() if leaves else ""


def _chunk_digest(chunk: np.ndarray) -> bytes:
    flat = np.ascontiguousarray(chunk).view(np.uint8)
    return hashlib.blake2b(flat.data, digest_size=16).digest()
