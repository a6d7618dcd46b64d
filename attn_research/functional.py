"""A module constructor as pure functions: only dicts of arrays cross this line.

    model = functional(lambda rngs: LM(..., rngs=rngs))
    params = model.init(key)
    logits_BTV = model.apply(params, tokens_BT)

Parameters are nested dicts with string keys, so that they can be saved, compared,
vmapped and differentiated without knowing flax. `bind` matches them by path, never by
position, and refuses a tree of another structure, shape or dtype.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
from flax import nnx

Params = dict[str, Any]


class Trait(NamedTuple):
    """`rate`: the share of the learning rate of `nnx.Param(value, rate=0.1)`, or None.

    `matrix`: whether one layer's parameter has two axes or more; `stacked=1` tells of
    a leading axis over layers. `rows`: what the rows of a table stand for, of
    `nnx.Param(table_TD, rows="positions")`. `share`: what of its learning rate is left
    to a layer in this run, an array over stacked layers; None is all, 0 is frozen.
    """

    rate: float | None
    matrix: bool
    rows: Literal["positions", "tokens"] | None = None
    share: Any = None

    @property
    def frozen(self) -> bool:
        return self.share is not None and not np.any(self.share)


class Functional(NamedTuple):
    """Pure `init(key)`, `apply(params, *args, method=None, **kwargs)`, `bind(params)`.

    `apply` calls the module, or the named method of it; `bind` gives the module back.
    `traits` is a tree like the parameters: what each was declared as.
    """

    init: Callable[[jax.Array], Params]
    apply: Callable[..., Any]
    bind: Callable[[Mapping[str, Any]], Any]
    traits: Params


def to_params(state: Any, read: Callable[[Any], Any] | None = None) -> Params:
    """What `read` (by default the value) says of each variable of an `nnx.State`.

    As nested dicts with string keys.
    """
    read = read or (lambda variable: variable.get_value())
    params: Params = {}
    for path, value in nnx.to_flat_state(state):
        *groups, name = map(str, path)
        node = params
        for group in groups:
            node = node.setdefault(group, {})
        node[name] = read(value) if isinstance(value, nnx.Variable) else value
    return params


def mismatch(params: Any, wanted: Any) -> str | None:
    """The first difference of two trees in structure, shape or dtype, or None."""
    have, want = (
        {
            jax.tree_util.keystr(path): leaf
            for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
        }
        for tree in (params, wanted)
    )
    for path in sorted(set(have) ^ set(want)):
        return f"{path} is {'not wanted' if path in have else 'missing'}"
    for path, leaf in have.items():
        if leaf.shape != want[path].shape or leaf.dtype != want[path].dtype:
            return (
                f"{path} is {leaf.dtype}{list(leaf.shape)}, the model has "
                f"{want[path].dtype}{list(want[path].shape)}"
            )
    return None


def functional(constructor: Callable[..., nnx.Module]) -> Functional:
    """The module that `constructor(rngs=...)` builds, as pure functions.

    The module may hold parameters only: other state would be lost silently, so its
    presence raises.
    """
    skeleton = nnx.eval_shape(lambda: constructor(rngs=nnx.Rngs(0)))
    graph, state, rest = nnx.split(skeleton, nnx.Param, ...)
    if nnx.to_flat_state(rest):
        held = [".".join(map(str, path)) for path, _ in nnx.to_flat_state(rest)]
        raise ValueError(f"A module may hold parameters only; it also holds {held}")
    abstract = to_params(state)

    def init(key: jax.Array) -> Params:
        module = constructor(rngs=nnx.Rngs(key))
        return to_params(nnx.state(module, nnx.Param))

    def bind(params: Mapping[str, Any]) -> Any:
        different = mismatch(params, abstract)
        if different:
            raise ValueError(f"These parameters do not fit the model: {different}")

        def pick(path: tuple[Any, ...]) -> Any:
            node: Any = params
            for part in path:
                node = node[str(part)]
            return node

        flat = [
            (path, leaf.replace(pick(path))) for path, leaf in nnx.to_flat_state(state)
        ]
        return nnx.merge(graph, nnx.from_flat_state(flat))

    def apply(params: Mapping[str, Any], *args: Any, method=None, **kwargs: Any) -> Any:
        module = bind(params)
        call = module if method is None else getattr(module, method)
        return call(*args, **kwargs)

    return Functional(init, apply, bind, to_params(state, _trait))


def _trait(variable: nnx.Variable) -> Trait:
    declared = variable.get_metadata()
    axes = variable.get_value().ndim - declared.get("stacked", 0)
    return Trait(declared.get("rate"), axes >= 2, declared.get("rows"))
