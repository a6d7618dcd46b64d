"""The trunk of one model in the place of another's, and how fast each layer learns.

The trunk is every parameter but those of the head. Parameters are matched by their
paths; only a table of positions or of tokens may have another number of rows.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.checkpoint.tree import nest, paths
from attn_research.config import Start
from attn_research.functional import Functional, Params, Trait

HEAD = "head"


def shapes(model: Functional) -> Params:
    """The parameters of a model as shapes; allocates nothing."""
    return jax.eval_shape(lambda: model.init(jax.random.key(0)))


def of_trunk(path: str) -> bool:
    """Whether a parameter belongs to the trunk."""
    return path.split("/")[0] != HEAD


def misfit(found: Mapping[str, Any], model: Functional, frozen: bool) -> str | None:
    """Why a trunk of these shapes does not fit a model, in words; None where it does.

    `found` has what there is by its path. Rows of tokens that are new have to learn.
    """
    traits = _traits(model)
    wanted = {p: leaf for p, leaf in paths(shapes(model)).items() if of_trunk(p)}
    for path in sorted(set(wanted) ^ {path for path in found if of_trunk(path)}):
        there, here = ("has", "none") if path in found else ("has no", "one")
        why = ""
        if "backward" in path.split("/"):
            one, two = "one direction", "both"
            was, now = (one, two) if path in wanted else (two, one)
            why = f": its mixer reads in {was}, that of this model in {now}"
        return f"it {there} {path}, and this model has {here}{why}"
    for path, want in wanted.items():
        have, rows = found[path], traits[path].rows
        if (have.shape, have.dtype) == (want.shape, want.dtype):
            continue
        told = (
            f"{path} is {have.dtype}{list(have.shape)} there and "
            f"{want.dtype}{list(want.shape)} in this model"
        )
        if rows is None or _but_rows(have) != _but_rows(want):
            return told
        if rows == "tokens" and have.shape[-2] > want.shape[-2]:
            return f"{told}, which has fewer tokens; as many or more are allowed"
        if rows == "tokens" and frozen:
            return f"{told}, and what is frozen learns no new tokens"
    return None


def fitted(given: Mapping[str, Any], model: Functional) -> Params:
    """The trunk among arrays by their paths, with as many positions as a model has."""
    traits = _traits(model)
    return nest(
        {
            path: stretched(given[path], want.shape[-2])
            if traits[path].rows == "positions"
            else given[path]
            for path, want in paths(shapes(model)).items()
            if of_trunk(path)
        }
    )


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

    Tokens that the trunk does not know keep the rows that were drawn.
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
