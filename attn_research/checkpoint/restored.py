"""A trained model from its run directory, or a description of its checkpoint."""

import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax

from attn_research.checkpoint.reader import kinds, read
from attn_research.config import Config, Model, content_hash
from attn_research.host.layout import (
    CHECKPOINTS,
    CONFIG,
    Run,
    check_identity,
    read_config,
)
from attn_research.options import BadInput
from attn_research.plugins import require
from attn_research.pure import Functional, mismatch
from attn_research.trees import digest


class Restored(NamedTuple):
    """One member of a trained population: `model.apply(params, tokens_BT)`.

    `config` is that of its run, `hypers` has its seed, lr and weight_decay, and `step`
    is that of the checkpoint. `data` is the digest of the arrays of its task, "" if it
    has none or the run is of a version that did not record it.
    """

    config: Config
    hypers: dict[str, Any]
    model: Functional
    params: dict[str, Any]
    step: int
    data: str = ""

    def __repr__(self) -> str:
        numbers = ", ".join(f"{name}={value}" for name, value in self.hypers.items())
        count = sum(leaf.size for leaf in jax.tree.leaves(self.params))
        return (
            f"Restored({self.config.model.pattern} on {self.config.task}, {numbers}, "
            f"step {self.step:,}, {count:,} parameters)"
        )


class Described(NamedTuple):
    """A checkpoint's description of one member's parameters.

    `digest` identifies the content of all members' parameters; `shapes` has the shape
    and dtype of this member's by path.
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
    """What `load` would return, from the checkpoint's metadata "
    "alone; reads no array."""
    path = Path(path)
    run = _run(path)
    found, leaves, facts = kinds(path / CHECKPOINTS, "params", step)
    check_identity(path / CHECKPOINTS, facts, run)
    shapes = {
        name: jax.ShapeDtypeStruct(kind["shape"][1:], kind["dtype"])
        for name, kind in leaves.items()
    }
    index = _index(path, member, facts, run.population.size)
    return Described(index, found, content_hash(leaves), shapes)


def load(
    path: str | os.PathLike[str],
    member: Literal["best"] | int = "best",
    step: int | None = None,
    plugins: Sequence[str] = (),
) -> Restored:
    """One member of the run in `path`, at its newest step or at `step`.

    `"best"` is the member that was best in validation. Needs neither the training data
    nor the devices of the training, but the `plugins` that the run was trained with,
    unless they are loaded or installed. Raises `Damaged` naming the newest good step.
    """
    from attn_research import hypers

    path = Path(path)
    run = _run(path)
    require(run.plugins, str(path), plugins)
    config, population = run.config, run.population
    try:
        model = built(config.model, tuple(run.sizes.items()))
    except TypeError as error:
        raise BadInput(f"{path / CONFIG} must hold the sizes of the model") from error
    found, items, facts = read(path / CHECKPOINTS, ["params"], step=step)
    check_identity(path / CHECKPOINTS, facts, run)
    index = _index(path, member, facts, population.size)
    params_P = items["params"]
    # On a device: a traced index into a NumPy array would be an error.
    params = jax.tree.map(lambda leaf: jax.device_put(leaf[index]), params_P)
    different = mismatch(params, jax.eval_shape(model.init, jax.random.key(0)))
    if different:
        raise BadInput(f"The checkpoint in {path} does not fit its model: {different}")
    chosen = hypers.member(hypers.grid(population), index)._asdict()
    # The shortest decimal of a float32 is the number that the user wrote.
    values = {
        name: value.item() if value.dtype.kind == "i" else float(str(value))
        for name, value in chosen.items()
    }
    return Restored(config, values, model, params, found, run.data)


def check_data(restored: Restored, arrays: Any) -> str:
    """The digest of the arrays of a task, which must be that of the model's training.

    Raises `BadInput` if the model was trained with other data.
    """
    found = digest(arrays)
    if restored.data not in ("", found):
        raise BadInput(
            f"The data of {restored.config.task} have the digest {found}; it must be "
            f"{restored.data}, that of the data that the model was trained with"
        )
    return found


@functools.lru_cache(maxsize=16)
def built(model: Model, sizes: tuple[tuple[str, Any], ...]) -> Functional:
    """The model, one object for all members, so that its programs compile once."""
    from attn_research.modules.models import Sizes, build

    return build(model, Sizes(**dict(sizes)))


def _run(path: Path) -> Run:
    if not (path / CONFIG).exists():
        raise BadInput(f"{path} is not a run directory: {CONFIG} is missing")
    return read_config(path)


def _index(path: Path, member: Any, facts: dict[str, Any], count: int) -> int:
    index = facts.get("best", 0) if member == "best" else member
    if not isinstance(index, int) or not 0 <= index < count:
        raise BadInput(
            f"member is {index!r}; it must be 'best' or 0 to {count - 1} for {path}"
        )
    return index
