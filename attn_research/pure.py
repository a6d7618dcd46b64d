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
import jax.numpy as jnp
import numpy as np
from flax import nnx

from attn_research.trees import difference, kinds

Params = dict[str, Any]


class Trait(NamedTuple):
    """How a parameter was declared, and how it learns in this run."""

    # Factor on the learning rate, declared by `nnx.Param(value, rate=0.1)`.
    rate: float | None
    # Whether one layer's parameter has two axes or more; `stacked=1` declares a leading
    # axis over layers.
    matrix: bool
    # What the rows of a table are, declared by `nnx.Param(table_TD, rows="positions")`.
    rows: Literal["positions", "tokens"] | None = None
    # Factor on the layer's learning rate in this run (None: 1, 0: frozen); an array
    # over stacked layers.
    share: Any = None

    @property
    def frozen(self) -> bool:
        return self.share is not None and not np.any(self.share)


class Functional(NamedTuple):
    """Pure `init(key)`, `apply(params, *args, method=None, **kwargs)`, `bind(params)`.

    `apply` calls the module, or its named method; `bind` returns the module. `traits`
    is a tree like the parameters, with how each was declared.
    """

    init: Callable[[jax.Array], Params]
    apply: Callable[..., Any]
    bind: Callable[[Mapping[str, Any]], Any]
    traits: Params


def to_params(state: Any, read: Callable[[Any], Any] | None = None) -> Params:
    """`read` of each variable of an `nnx.State`, by default its value.

    In nested dicts with string keys.
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
    """The first difference between two trees in structure, shape or dtype, or None."""
    return difference(kinds(params), kinds(wanted))


def functional(constructor: Callable[..., nnx.Module]) -> Functional:
    """The module that `constructor(rngs=...)` builds, as pure functions.

    Raises `ValueError` if the module holds anything but parameters: other state would
    be lost silently; and if `constructor` is no function that builds a module.
    """
    wrong = f"The constructor is {type(constructor).__name__}"
    if callable(constructor) and not isinstance(constructor, nnx.Module):
        skeleton = nnx.eval_shape(lambda: constructor(rngs=nnx.Rngs(0)))
        wrong = "The constructor builds no module"
    else:
        skeleton = None
    if not isinstance(skeleton, nnx.Module):
        raise ValueError(
            f"{wrong}; it must be a function such as lambda rngs: LM(..., rngs=rngs)"
        )
    graph, state, rest = nnx.split(skeleton, nnx.Param, ...)
    if nnx.to_flat_state(rest):
        held = [".".join(map(str, path)) for path, _ in nnx.to_flat_state(rest)]
        raise ValueError(f"The module holds {held}; all its state must be parameters")
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
            # Loops index parameters by traced numbers, which NumPy's refuse.
            return jnp.asarray(node) if isinstance(node, np.ndarray) else node

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
