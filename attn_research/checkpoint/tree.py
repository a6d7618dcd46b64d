"""Trees of arrays as flat tables of host arrays, and back.

A leaf is named by its path (`layers/0/kernel`), in a dict, a list, a NamedTuple or a
dataclass alike, so that a tree is matched by name and never by position, whatever
order its keys come back in.
"""

import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.options import BadInput

Leaves = dict[str, np.ndarray]

_PART = re.compile(r"[A-Za-z0-9_-]+")


def _part(key: Any) -> str:
    for attribute in ("key", "idx", "name"):
        if hasattr(key, attribute):
            part = str(getattr(key, attribute))
            if not _PART.fullmatch(part):
                raise ValueError(f"A checkpoint cannot hold a leaf named {part!r}")
            return part
    raise ValueError(f"A checkpoint cannot hold a tree with the key {key!r}")


def paths(tree: Any) -> dict[str, Any]:
    """Path -> leaf; raises `ValueError` where two leaves have one path."""
    named: dict[str, Any] = {}
    for keys, leaf in jax.tree_util.tree_leaves_with_path(tree):
        path = "/".join(map(_part, keys)) or "value"
        if path in named:
            raise ValueError(f"Two leaves of a checkpoint are named {path!r}")
        named[path] = leaf
    return named


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _implementation(target: Any) -> Any:
    """How the PRNG keys of a leaf are made; only a traced value tells."""
    found = []
    jax.eval_shape(lambda keys: found.append(jax.random.key_impl(keys)), target)
    return found[0]


def _host(leaf: Any) -> np.ndarray:
    """A copy of its own: the buffer of a jax array may be donated meanwhile."""
    if type(leaf) in (bool, int, float, complex):
        return np.asarray(leaf, jax.dtypes.canonicalize_dtype(type(leaf)))
    if isinstance(leaf, jax.Array) and _is_key(leaf):
        leaf = jax.random.key_data(leaf)
    return np.array(leaf, order="C", copy=True)


def to_host(tree: Any) -> Leaves:
    """Path -> copy on the host; PRNG keys as their raw data."""
    named = paths(tree)
    for leaf in named.values():
        if isinstance(leaf, jax.Array) and not _is_key(leaf):
            leaf.copy_to_host_async()
    return {path: _host(leaf) for path, leaf in named.items()}


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


def _raw(target: Any) -> Any:
    """The shape and dtype in which a leaf like `target` is stored."""
    return jax.eval_shape(jax.random.key_data, target) if _is_key(target) else target


def _place(leaf: np.ndarray, target: Any) -> Any:
    sharding = getattr(target, "sharding", None)
    if _is_key(target):
        keys = jax.random.wrap_key_data(jnp.asarray(leaf), impl=_implementation(target))
        return jax.device_put(keys, sharding) if sharding else keys
    return jax.device_put(leaf, sharding) if sharding else leaf


def compare(kinds: Mapping[str, tuple[str, list[int]]], target: Any) -> str | None:
    """The first difference of stored leaves (dtype, shape) from `target`, or None."""
    wanted = {path: _raw(leaf) for path, leaf in paths(target).items()}
    for path in sorted(set(kinds) ^ set(wanted)):
        return f"{path} is {'not wanted' if path in kinds else 'missing'}"
    for path, (dtype, shape) in kinds.items():
        want = wanted[path]
        if dtype != str(want.dtype) or list(shape) != list(want.shape):
            return (
                f"{path} is {dtype}{list(shape)}, wanted is "
                f"{want.dtype}{list(want.shape)}"
            )
    return None


def fill(leaves: Leaves, target: Any) -> Any:
    """`leaves` in the structure of `target`: host arrays, and typed PRNG keys.

    A leaf is placed on devices where its target has a sharding. Raises `BadInput` where
    structure, shape or dtype differ.
    """
    kinds = {k: (str(x.dtype), list(x.shape)) for k, x in leaves.items()}
    different = compare(kinds, target)
    if different:
        raise BadInput(f"The checkpoint does not fit: {different}")
    placed = [_place(leaves[path], want) for path, want in paths(target).items()]
    return jax.tree.unflatten(jax.tree.structure(target), placed)
