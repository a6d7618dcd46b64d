"""Trees of arrays as flat tables of host arrays, and back.

Leaves are named as in `trees`, so that a checkpoint is matched by name, never by
position: its keys may come back in any order.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.options import BadInput
from attn_research.trees import Kind, difference, kind, paths

Leaves = dict[str, np.ndarray]


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _implementation(target: Any) -> Any:
    """The PRNG implementation of a leaf of keys; only a traced value has it."""
    found = []
    jax.eval_shape(lambda keys: found.append(jax.random.key_impl(keys)), target)
    return found[0]


def _host(leaf: Any) -> np.ndarray:
    """A copy on the host, as the buffer of a jax array may be donated meanwhile."""
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


def _raw(target: Any) -> Any:
    """The shape and dtype in which a leaf like `target` is stored."""
    return jax.eval_shape(jax.random.key_data, target) if _is_key(target) else target


def _place(leaf: np.ndarray, target: Any) -> Any:
    sharding = getattr(target, "sharding", None)
    if _is_key(target):
        keys = jax.random.wrap_key_data(jnp.asarray(leaf), impl=_implementation(target))
        return jax.device_put(keys, sharding) if sharding else keys
    return jax.device_put(leaf, sharding) if sharding else leaf


def compare(kinds: Mapping[str, Kind], target: Any) -> str | None:
    """The first difference of stored leaves from `target`, None if they fit."""
    wanted = {path: kind(_raw(leaf)) for path, leaf in paths(target).items()}
    return difference(kinds, wanted)


def fill(leaves: Leaves, target: Any) -> Any:
    """`leaves` in the structure of `target`: host arrays, and typed PRNG keys.

    A leaf is placed on devices if its target has a sharding. Raises `BadInput` if
    structure, shape or dtype differ.
    """
    kinds = {path: kind(leaf) for path, leaf in leaves.items()}
    different = compare(kinds, target)
    if different:
        raise BadInput(f"The checkpoint does not fit: {different}")
    placed = [_place(leaves[path], want) for path, want in paths(target).items()]
    return jax.tree.unflatten(jax.tree.structure(target), placed)
