"""The trunk of one model in the place of another's, and how fast each layer learns.

The trunk is every parameter but those of the head. Parameters are matched by their
paths; only a table of positions or of tokens may have another number of rows, and only
the direction in which a mixer reads backwards may be there in one model and not in the
other: a language model reads in one direction, an encoder in both.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.checkpoint.tree import nest, paths
from attn_research.config import Start
from attn_research.functional import Functional, Params, Trait

HEAD, BACKWARD = "head", "backward"
BYTES = 256  # Tokens above are no bytes: a mask, say. Where bytes stay, they may go.


def shapes(model: Functional) -> Params:
    """The parameters of a model as shapes; allocates nothing, traces a model once."""
    return jax.eval_shape(model.init, jax.eval_shape(jax.random.key, 0))


def of_trunk(path: str) -> bool:
    """Whether a parameter belongs to the trunk."""
    return path.split("/")[0] != HEAD


def of_backward(path: str) -> bool:
    """Whether a parameter belongs to the second direction of a mixer."""
    return BACKWARD in path.split("/")


def misfit(
    found: Mapping[str, Any],
    model: Functional,
    frozen: bool,
    meant: int | None = None,
) -> str | None:
    """Why a trunk of these shapes does not fit a model, in words; None where it does.

    `found` has what there is by its path. Of the tokens the first `meant` stand for the
    same, None: all. What is drawn, tokens or a direction, has to learn.
    """
    traits, wanted = _traits(model), _of_trunk(shapes(model))
    for path in sorted(set(wanted) ^ {path for path in found if of_trunk(path)}):
        there, here, why = "has", "none", ""
        if path in wanted:
            there, here = "has no", "one"
        if of_backward(path):
            if path in found or not frozen:
                continue
            why = ": a mixer of it reads in one direction, here in both, and what is "
            why += "frozen learns no new one"
        return f"it {there} {path}, and this model has {here}{why}"
    for path, want in wanted.items():
        if path not in found:
            continue
        have, rows = found[path], traits[path].rows
        same = (have.shape, have.dtype) == (want.shape, want.dtype)
        if same and rows != "tokens":
            continue
        told = (
            f"{path} is {have.dtype}{list(have.shape)} there and "
            f"{want.dtype}{list(want.shape)} in this model"
        )
        if rows is None or _but_rows(have) != _but_rows(want):
            return told
        if rows == "tokens" and want.shape[-2] < min(have.shape[-2], BYTES):
            return f"{told}, which has fewer tokens; as many or more are allowed"
        if rows == "tokens" and frozen and _kept(have, want, meant) < want.shape[-2]:
            other = " of other subwords" * same
            return f"{told}{other}, and what is frozen learns no new tokens"
    return None


def changed(
    found: Mapping[str, Any], model: Functional, meant: int | None = None
) -> list[str]:
    """What of a trunk that fits is dropped and what is drawn, a sentence each."""
    traits, wanted = _traits(model), _of_trunk(shapes(model))
    notes = []
    for path in wanted:
        if path not in found or traits[path].rows != "tokens":
            continue
        have, want = found[path].shape[-2], wanted[path].shape[-2]
        kept = _kept(found[path], wanted[path], meant)
        told = f"The first {kept:,} of its {have:,} tokens are taken over"
        told += ", the rest is dropped" * (have > kept)
        told += f", the other {want - kept:,} of this model drawn" * (want > kept)
        notes += [f"{told}."] * (kept < max(have, want))
    if any(of_backward(path) for path in set(found) - set(wanted)):
        notes.append("Of its two directions the one that reads backwards is dropped.")
    if any(of_backward(path) for path in set(wanted) - set(found)):
        notes.append(
            "It reads in one direction; the one that reads backwards is drawn."
        )
    return list(dict.fromkeys(notes))


def fitted(
    given: Mapping[str, Any], model: Functional, meant: int | None = None
) -> Params:
    """The trunk among arrays by their paths, with as many positions as a model has.

    Of tables of tokens it has the rows that stand for the same, of a direction that
    is not there nothing.
    """
    traits, wanted = _traits(model), _of_trunk(shapes(model))

    def one(path: str) -> Any:
        have, want = given[path], wanted[path]
        match traits[path].rows:
            case "positions":
                return stretched(have, want.shape[-2])
            case "tokens":
                return have[..., : _kept(have, want, meant), :]
        return have

    return nest({path: one(path) for path in wanted if path in given})


def stretched(table_TD: np.ndarray, length: int) -> np.ndarray:
    """Learned positions for `length` places, linear between those that there are.

    The first and the last stay what they are (Dosovitskiy et al., 2020,
    arXiv:2010.11929, do so for images). Fewer places have the first rows.
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


def started(drawn: Params, given: Mapping[str, Any]) -> Params:
    """Drawn parameters with a fitted trunk put in their place; {} changes nothing.

    Tokens and directions that the trunk does not know stay as they were drawn.
    """
    taken = paths(given)

    def one(path: str, leaf: jax.Array) -> jax.Array:
        have = taken.get(path, leaf)
        if have.shape == leaf.shape:
            return jnp.asarray(have)
        return jnp.concatenate([have, leaf[have.shape[0] :]])

    return nest({path: one(path, leaf) for path, leaf in paths(drawn).items()})


def shared(model: Functional, start: Start) -> Params:
    """The traits of a model, each with the share of the learning rate it has.

    Nothing of a frozen trunk learns. Elsewhere the top layer, the norm above it and the
    head learn at the whole rate, each layer below at `rate` times that of the layer
    above it, and the front end at `rate` times that of the first layer (Howard & Ruder,
    2018, arXiv:1801.06146).
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
    """How many rows of a table of tokens are taken over."""
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
