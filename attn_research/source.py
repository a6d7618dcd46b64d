"""The checkpoint that a run starts from: which one it is, and its arrays.

A resolved start names a checkpoint by its content. A run reads it before its first step
and never again: it resumes from checkpoints of its own.
"""

import dataclasses
from pathlib import Path
from typing import Any

import jax

from attn_research import layout, transfer
from attn_research.checkpoint import Described, describe, load
from attn_research.checkpoint.tree import paths
from attn_research.config import Config, Start, flatten
from attn_research.functional import Functional, Params
from attn_research.options import BadInput, parse, word

# What may be another way without what the trunk computes of a sequence being another.
FREE = {
    "scan", "pool", "rescale", "tied", "embed_dropout", "dropout", "dtype", "remat"
}  # fmt: skip


# Options of a task that say nothing about what was learned of its text.
SIZES = {"length", "source_length"}


def resolve(config: Config, model: Functional) -> Start:
    """The start of a config with its member, step and digest; reads no array.

    Reads nothing where the digest is there already. Raises `BadInput` where the trunk
    does not fit the model, or nothing would learn.
    """
    start = config.init
    frozen = start.trunk == "frozen"
    if frozen and all(map(transfer.of_trunk, paths(transfer.shapes(model)))):
        raise BadInput(
            "init.trunk is frozen, and the head is the token table of the trunk; "
            "model.tied=false gives it a matrix that learns"
        )
    if frozen and start.rate != 1:
        raise BadInput(
            f"init.rate is {start.rate} and init.trunk is frozen, where no layer "
            "learns; 1 is allowed"
        )
    if start.path is None:
        return dataclasses.replace(start, member=None, step=None, digest="")
    if start.digest:
        return start
    start = dataclasses.replace(start, path=_run(start.path, config))
    found = _described(dataclasses.replace(config, init=start), model)
    return dataclasses.replace(
        start, member=found.member, step=found.step, digest=found.digest
    )


def _run(path: str, config: Config) -> str:
    """The directory of the run: of a study that of the one cell with this model."""
    if not (Path(path) / layout.STUDY).exists():
        return path
    alike = [
        folder
        for folder in sorted((Path(path) / layout.CELLS).glob("*"))
        if _used(layout.read_config(folder).config) == _used(config)
    ]
    if len(alike) != 1:
        found = f"{len(alike)} cells have" if alike else "no cell has"
        raise BadInput(
            f"{path} is a study in which {found} the model of this run "
            f"({config.model.pattern}); a study in which one has it, or the directory "
            "of a run, is allowed"
        )
    return str(alike[0])


def _used(config: Config) -> dict[str, Any]:
    """The fields of a model that decide what its trunk computes."""
    model = flatten(config.model)
    return {name: value for name, value in model.items() if name not in FREE}


def as_before(start: Start, before: Start) -> Start:
    """`start` with the checkpoint that `before` was resolved to, where it may be it."""
    same = start.path == before.path and not start.digest
    for name in ("member", "step"):
        same &= getattr(start, name) in (None, getattr(before, name))
    if not same:
        return start
    return dataclasses.replace(
        start, member=before.member, step=before.step, digest=before.digest
    )


def trunk(config: Config, model: Functional) -> Params:
    """The trunk that a resolved config starts from, as host arrays; {} for none.

    Raises `BadInput` where the source is not what it was, `Damaged` where its
    checkpoint is.
    """
    start = config.init
    if start.path is None:
        return {}
    found = _described(config, model)
    if found.digest != start.digest:
        raise BadInput(
            f"{start.path} is not what this run is to start from: step {found.step} "
            f"has the digest {found.digest}, not {start.digest}; another --out starts "
            "from what is there"
        )
    arrays = jax.device_get(load(start.path, found.member, found.step).params)
    return transfer.fitted(paths(arrays), model, _meant(config))


def notes(config: Config, model: Functional, causal: bool) -> list[str]:
    """What of the trunk is not as it was trained: a sentence each.

    Tokens may be dropped or drawn, and so may a direction. Parameters of one shape may
    mean another thing: with another number of heads, say.
    """
    start = config.init
    if start.path is None:
        return []
    found = _described(config, model)
    told = transfer.changed(found.shapes, model, _meant(config))
    told = [f"Of the trunk of {start.path}: {note}" for note in told]
    run = layout.read_config(start.path)
    was = {**flatten(run.config.model), "causal": run.sizes.get("causal")}
    now = {**flatten(config.model), "causal": causal}
    changed = [
        f"{name} was {word(was.get(name))} and is {word(value)}"
        for name, value in now.items()
        if value != was.get(name) and name not in FREE
    ]
    if changed:
        used = "; ".join(changed)
        told.append(f"The trunk of {start.path} is used another way: {used}.")
    return told


def _meant(config: Config) -> int | None:
    """How many tokens stand for the same there and here; None: all.

    Subwords of another text are others, the bytes below them the same.
    """
    assert config.init.path is not None
    tasks = layout.read_config(config.init.path).config.task, config.task
    was, now = map(_subwords, tasks)
    return None if was == now else transfer.BYTES


def _subwords(task: str) -> tuple[str, dict[str, str]] | None:
    """What decides the subwords of a task, None where its tokens are bytes."""
    name, options = parse(task)
    if options.get("subwords", "0") == "0":
        return None
    return name, {key: value for key, value in options.items() if key not in SIZES}


def _described(config: Config, model: Functional) -> Described:
    """What the checkpoint says of itself; raises `BadInput` where it does not fit."""
    start = config.init
    assert start.path is not None
    member = "best" if start.member is None else start.member
    found = describe(start.path, member, start.step)
    frozen = start.trunk == "frozen"
    different = transfer.misfit(found.shapes, model, frozen, _meant(config))
    if different:
        raise BadInput(f"The trunk of {start.path} does not fit: {different}")
    return found
