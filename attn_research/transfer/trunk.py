"""The trunk of one model in place of another's, and the learning rate of each layer.

The trunk is every parameter except those of the head. Parameters are matched by path.
Only tables of positions and tokens may differ in their number of rows, and only the
backward direction of a mixer may exist in one model and not in the other: a language
model reads in one direction, an encoder in both.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.config import Start
from attn_research.pure import Functional, Params, Trait
from attn_research.trees import nest, paths

HEAD, BACKWARD = "head", "backward"
# Token ids from here on are not bytes (a mask, say); a model of bytes may drop them.
BYTES = 256


def shapes(model: Functional) -> Params:
    """The shapes of a model's parameters; allocates nothing, traces the model once."""
    return jax.eval_shape(model.init, jax.eval_shape(jax.random.key, 0))


def of_trunk(path: str) -> bool:
    """Whether a parameter belongs to the trunk."""
    return path.split("/")[0] != HEAD


def of_backward(path: str) -> bool:
    """Whether a parameter belongs to the second direction of a mixer."""
    return BACKWARD in path.split("/")


def misfit(
    given: Mapping[str, Any],
    model: Functional,
    frozen: bool,
    meant: int | None = None,
) -> str | None:
    """Why a trunk of these shapes does not fit a model, in words; None if it fits.

    `given` has the shapes by path. The first `meant` tokens have the same meaning in
    both, None: all. Initialised tokens or directions must be free to learn.
    """
    traits, wanted = _traits(model), _of_trunk(shapes(model))
    for path in sorted(set(wanted) ^ {path for path in given if of_trunk(path)}):
        there, here, why = "has", "none", ""
        if path in wanted:
            there, here = "has no", "one"
        if of_backward(path):
            if path in given or not frozen:
                continue
            why = ": its mixer reads in one direction, here in both, and a frozen "
            why += "trunk cannot learn the other"
        return f"it {there} {path}, and this model has {here}{why}"
    for path, want in wanted.items():
        if path not in given:
            continue
        have, rows = given[path], traits[path].rows
        same = (have.shape, have.dtype) == (want.shape, want.dtype)
        if same and rows != "tokens":
            continue
        shapes_differ = (
            f"{path} is {have.dtype}{list(have.shape)} there and "
            f"{want.dtype}{list(want.shape)} in this model"
        )
        if rows is None or _but_rows(have) != _but_rows(want):
            return shapes_differ
        if rows == "tokens" and want.shape[-2] < min(have.shape[-2], BYTES):
            return f"{shapes_differ}; its tokens must be at least as many"
        if rows == "tokens" and frozen and _kept(have, want, meant) < want.shape[-2]:
            other = " of other subwords" * same
            return f"{shapes_differ}{other}, and a frozen table cannot learn new tokens"
    return None


def changes(
    given: Mapping[str, Any], model: Functional, meant: int | None = None
) -> list[str]:
    """One sentence for each part of a trunk that is dropped or initialised."""
    traits, wanted = _traits(model), _of_trunk(shapes(model))
    notes = []
    for path in wanted:
        if path not in given or traits[path].rows != "tokens":
            continue
        have, want = given[path].shape[-2], wanted[path].shape[-2]
        kept = _kept(given[path], wanted[path], meant)
        note = f"the first {kept:,} of its {have:,} tokens are copied"
        note += ", the rest dropped" * (have > kept)
        note += f", the other {want - kept:,} of this model initialised" * (want > kept)
        notes += [f"{note}."] * (kept < max(have, want))
    if any(of_backward(path) for path in set(given) - set(wanted)):
        notes.append("it reads in both directions; the backward one is dropped.")
    if any(of_backward(path) for path in set(wanted) - set(given)):
        notes.append("it reads in one direction; the backward one is initialised.")
    return list(dict.fromkeys(notes))


def fitted(
    given: Mapping[str, Any], model: Functional, meant: int | None = None
) -> Params:
    """The trunk among arrays by path, resized to a model.

    Positions are stretched to the model's number, tokens cut to those with the same
    meaning in both; a missing direction is left out.
    """
    traits, wanted = _traits(model), _of_trunk(shapes(model))

    def fit(path: str) -> Any:
        have, want = given[path], wanted[path]
        match traits[path].rows:
            case "positions":
                return stretched(have, want.shape[-2])
            case "tokens":
                return have[..., : _kept(have, want, meant), :]
        return have

    return nest({path: fit(path) for path in wanted if path in given})


def stretched(table_TD: np.ndarray, length: int) -> np.ndarray:
    """Learned positions for `length` places, interpolated linearly.

    The first and the last keep their values (Dosovitskiy et al., 2020,
    arXiv:2010.11929, for images). Fewer places take the first rows.
    """
    rows = table_TD.shape[-2]
    if length <= rows:
        return table_TD[..., :length, :]
    place_T = np.linspace(0, rows - 1, length)
    low_T = place_T.astype(int)
    high_T = np.minimum(low_T + 1, rows - 1)
    part_T1 = (place_T - low_T).reshape((1,) * (table_TD.ndim - 2) + (length, 1))
    low_TD, high_TD = table_TD[..., low_T, :], table_TD[..., high_T, :]
    return ((1 - part_T1) * low_TD + part_T1 * high_TD).astype(table_TD.dtype)


def started(initial: Params, given: Mapping[str, Any]) -> Params:
    """Initial parameters with a fitted trunk in their place; {} changes nothing.

    Tokens and directions that the trunk lacks keep their initial values.
    """
    taken = paths(given)

    def start(path: str, leaf: jax.Array) -> jax.Array:
        have = taken.get(path, leaf)
        if have.shape == leaf.shape:
            return jnp.asarray(have)
        return jnp.concatenate([have, leaf[have.shape[0] :]])

    return nest({path: start(path, leaf) for path, leaf in paths(initial).items()})


def shared(model: Functional, start: Start) -> Params:
    """The traits of a model, each with its share of the learning rate.

    A frozen trunk has share 0. Otherwise the top layer, the norm above it and the head
    learn at the full rate, each layer below at `rate` times that of the layer above,
    and the front end at `rate` times that of the first layer (Howard & Ruder, 2018,
    arXiv:1801.06146).
    """
    if start.trunk == "all" and start.rate == 1:
        return model.traits
    above = _layers_above(shapes(model))

    def share(path: str) -> Any:
        if start.trunk == "frozen":
            return 0.0 if of_trunk(path) else None
        return np.float32(start.rate) ** np.asarray(above[path], np.float32)

    traits = _traits(model)
    return nest({p: trait._replace(share=share(p)) for p, trait in traits.items()})


def _traits(model: Functional) -> dict[str, Trait]:
    flat = jax.tree.leaves(model.traits, is_leaf=lambda node: isinstance(node, Trait))
    return dict(zip(paths(shapes(model)), flat, strict=True))


def _of_trunk(params: Params) -> dict[str, Any]:
    return {path: leaf for path, leaf in paths(params).items() if of_trunk(path)}


def _kept(have: Any, want: Any, meant: int | None) -> int:
    """The number of rows of a table of tokens that are copied."""
    rows = min(have.shape[-2], want.shape[-2])
    return rows if meant is None else min(rows, meant)


def _but_rows(leaf: Any) -> tuple[Any, ...]:
    return leaf.dtype, leaf.shape[:-2], leaf.shape[-1]


def _layers_above(params: Params) -> dict[str, Any]:
    """The number of layers above each parameter, an array over stacked layers."""
    above: dict[str, Any] = dict.fromkeys(paths(params), 0)
    for name, trunk in params.items():
        if name == HEAD:
            continue
        total = 0
        for number, group in sorted(trunk["groups"].items(), key=_number, reverse=True):
            stacked = "layers" in group
            where = f"{name}/groups/{number}" + "/layers" * stacked
            blocks = group.get("layers", group)["blocks"]
            repeats = jax.tree.leaves(blocks)[0].shape[0] if stacked else 1
            for place, block in blocks.items():
                higher = total + len(blocks) - 1 - int(place)
                later_N = np.arange(repeats)[::-1] * len(blocks) + higher
                for path, leaf in paths(block).items():
                    axes = (-1,) + (1,) * (leaf.ndim - 1)
                    here = later_N.reshape(axes) if stacked else higher
                    above[f"{where}/blocks/{place}/{path}"] = here
            total += repeats * len(blocks)
        for part in ("frontend", "embed_norm"):
            for path in paths(trunk.get(part, {})):
                above[f"{name}/{part}/{path}"] = total
    return above


def _number(item: tuple[str, Any]) -> int:
    return int(item[0])
