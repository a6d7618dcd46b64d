"""A trained model out of the directory of its run, or what its checkpoint holds."""

import functools
import os
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax

from attn_research.checkpoint.reader import kinds, read
from attn_research.config import Config, Model, content_hash
from attn_research.functional import Functional, mismatch
from attn_research.layout import CHECKPOINTS, CONFIG, Run, members, read_config
from attn_research.options import BadInput


class Restored(NamedTuple):
    """One member of a trained population: `model.apply(params, tokens_BT)`."""

    config: Config
    hypers: dict[str, Any]
    model: Functional
    params: dict[str, Any]
    step: int


class Described(NamedTuple):
    """What a checkpoint says of the parameters of one member.

    `digest` names the content of the parameters of all members; `shapes` has the shape
    and dtype of each of this one's by its path.
    """

    member: int
    step: int
    digest: str
    shapes: dict[str, jax.ShapeDtypeStruct]


def describe(
    path: str | os.PathLike[str],
    member: Literal["best"] | int = "best",
    step: int | None = None,
) -> Described:
    """What `load` would give, by what the checkpoint says of itself: reads no array."""
    path = Path(path)
    run = _run(path)
    found, leaves, facts = kinds(path / CHECKPOINTS, "params", step)
    shapes = {
        name: jax.ShapeDtypeStruct(kind["shape"][1:], kind["dtype"])
        for name, kind in leaves.items()
    }
    index = _index(path, member, facts, members(run.population))
    return Described(index, found, content_hash(leaves), shapes)


def load(
    path: str | os.PathLike[str],
    member: Literal["best"] | int = "best",
    step: int | None = None,
) -> Restored:
    """One member of the run in `path`, at its newest step or at `step`.

    `"best"` is the member that was best in validation. Only looks: neither the training
    data nor the devices of the training are needed. Raises `Damaged` naming the newest
    good step.
    """
    from attn_research import hypers

    path = Path(path)
    config, population, sizes = _run(path)
    try:
        model = _built(config.model, tuple(sizes.items()))
    except TypeError as error:
        raise BadInput(f"{path / CONFIG} lacks the sizes of the model") from error
    found, items, facts = read(path / CHECKPOINTS, ["params"], step=step)
    index = _index(path, member, facts, members(population))
    params_P = items["params"]
    # On a device: a traced index into an array of NumPy would be an error.
    params = jax.tree.map(lambda leaf: jax.device_put(leaf[index]), params_P)
    different = mismatch(params, jax.eval_shape(model.init, jax.random.key(0)))
    if different:
        raise BadInput(f"The checkpoint in {path} does not fit its model: {different}")
    chosen = hypers.member(hypers.grid(population), index)._asdict()
    # The shortest text of a float32 is the number that the user wrote.
    values = {
        name: value.item() if value.dtype.kind == "i" else float(str(value))
        for name, value in chosen.items()
    }
    return Restored(config, values, model, params, found)


@functools.lru_cache(maxsize=16)
def _built(model: Model, sizes: tuple[tuple[str, Any], ...]) -> Functional:
    """The model, one and the same for all members: programs of it are compiled once."""
    from attn_research.modules.models import Sizes, build

    return build(model, Sizes(**dict(sizes)))


def _run(path: Path) -> Run:
    if not (path / CONFIG).exists():
        raise BadInput(f"{path} is no directory of a run (it has no {CONFIG})")
    return read_config(path)


def _index(path: Path, member: Any, facts: dict[str, Any], count: int) -> int:
    index = facts.get("best", 0) if member == "best" else member
    if not isinstance(index, int) or not 0 <= index < count:
        raise BadInput(
            f"member is {index!r}; allowed are 'best' and 0 to {count - 1} for {path}"
        )
    return index
