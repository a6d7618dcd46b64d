"""The checkpoint that a run starts from: its identity and its arrays.

A resolved start names a checkpoint by its content. A run reads it before its first step
and never again: it resumes from its own checkpoints.
"""

import dataclasses
from pathlib import Path
from typing import Any

import jax

from attn_research.checkpoint import Described, describe, load
from attn_research.config import Config, Start, flatten
from attn_research.host import layout
from attn_research.options import BadInput
from attn_research.options.specs import parse, word
from attn_research.pure import Functional, Params
from attn_research.transfer import trunk
from attn_research.trees import paths

# Fields of `Model` that may change without changing what the trunk computes.
FREE = {
    "scan", "pool", "rescale", "tied", "embed_dropout", "dropout", "dtype", "remat"
}  # fmt: skip


# Options of a task that do not affect the subwords learned from its text.
SIZES = {"length", "source_length"}


def resolve(config: Config, model: Functional) -> Start:
    """The start of a config with its member, step and digest; reads no array.

    A start that has its digest is returned without reading anything. Raises `BadInput`
    if the trunk does not fit the model, or nothing would learn.
    """
    start = config.init
    frozen = start.trunk == "frozen"
    if frozen and all(map(trunk.of_trunk, paths(trunk.shapes(model)))):
        raise BadInput(
            "init.trunk is frozen and the head is its table of tokens, so that nothing "
            "learns; model.tied must be false"
        )
    if frozen and start.rate != 1:
        raise BadInput(
            f"init.rate is {start.rate}; if init.trunk is frozen, so that no layer of "
            "it learns, it must be 1"
        )
    if start.path is None:
        return dataclasses.replace(start, member=None, step=None, digest="")
    if start.digest:
        return start
    start = dataclasses.replace(start, path=_run(start.path, config))
    source = _described(dataclasses.replace(config, init=start), model)
    return dataclasses.replace(
        start, member=source.member, step=source.step, digest=source.digest
    )


def _run(path: str, config: Config) -> str:
    """The directory of the run; in a study, that of the one cell with this model."""
    if not (Path(path) / layout.STUDY).exists():
        return path
    alike = [
        folder
        for folder in sorted((Path(path) / layout.CELLS).glob("*"))
        if _used(layout.read_config(folder).config) == _used(config)
    ]
    if len(alike) != 1:
        which = f"{len(alike)} cells have" if alike else "no cell has"
        raise BadInput(
            f"{path} is a study in which {which} the model of this run "
            f"({config.model.pattern}); it must be a run, or a study with one such cell"
        )
    return str(alike[0])


def _used(config: Config) -> dict[str, Any]:
    """The fields of a model that determine what its trunk computes."""
    model = flatten(config.model)
    return {name: value for name, value in model.items() if name not in FREE}


def as_before(start: Start, before: Start) -> Start:
    """`start` with the checkpoint that `before` was resolved "
    "to, if it names the same."""
    same = start.path == before.path and not start.digest
    for name in ("member", "step"):
        same &= getattr(start, name) in (None, getattr(before, name))
    if not same:
        return start
    return dataclasses.replace(
        start, member=before.member, step=before.step, digest=before.digest
    )


def check(config: Config, model: Functional) -> Described:
    """The description of the checkpoint that a resolved config starts from.

    Reads no array. Raises `BadInput` if it is not there, does not fit, or has changed.
    """
    start, source = config.init, _described(config, model)
    if source.digest != start.digest:
        raise BadInput(
            f"{start.path} has changed since this run was set up: step {source.step} "
            f"has the digest {source.digest}, it must be {start.digest} (or --out "
            "another directory)"
        )
    return source


def load_trunk(config: Config, model: Functional) -> Params:
    """The trunk that a resolved config starts from, as host arrays; {} for none.

    Raises `BadInput` if the source has changed, `Damaged` if its checkpoint is damaged.
    """
    start = config.init
    if start.path is None:
        return {}
    source = check(config, model)
    arrays = jax.device_get(load(start.path, source.member, source.step).params)
    return trunk.fitted(paths(arrays), model, _shared_tokens(config))


def notes(config: Config, model: Functional, causal: bool) -> list[str]:
    """One sentence for each way in which the trunk differs from the trained one.

    Tokens or a direction may be dropped or initialised. Parameters of the same shape
    may also be used differently, with another number of heads, say.
    """
    start = config.init
    if start.path is None:
        return []
    source = _described(config, model)
    changes = trunk.changes(source.shapes, model, _shared_tokens(config))
    notes = [f"Trunk of {start.path}: {change}" for change in changes]
    run = layout.read_config(start.path)
    was = {**flatten(run.config.model), "causal": run.sizes.get("causal")}
    now = {**flatten(config.model), "causal": causal}
    fields = [
        f"{name} was {word(was.get(name))} and is {word(value)}"
        for name, value in now.items()
        if value != was.get(name) and name not in FREE
    ]
    if fields:
        differences = "; ".join(fields)
        notes.append(
            f"Trunk of {start.path}: the model is configured differently: "
            f"{differences}."
        )
    return notes


def _shared_tokens(config: Config) -> int | None:
    """The number of tokens with the same meaning there and here; None: all.

    Subwords of different texts differ; the bytes below them are the same.
    """
    assert config.init.path is not None
    tasks = layout.read_config(config.init.path).config.task, config.task
    was, now = map(_subwords, tasks)
    return None if was == now else trunk.BYTES


def _subwords(task: str) -> tuple[str, dict[str, str]] | None:
    """The options that determine a task's subwords, None if its tokens are bytes."""
    name, options = parse(task)
    if options.get("subwords", "0") == "0":
        return None
    return name, {key: value for key, value in options.items() if key not in SIZES}


def _described(config: Config, model: Functional) -> Described:
    """The description of the checkpoint; raises `BadInput` if "
    "its trunk does not fit."""
    start = config.init
    assert start.path is not None
    member = "best" if start.member is None else start.member
    described = describe(start.path, member, start.step)
    frozen = start.trunk == "frozen"
    different = trunk.misfit(described.shapes, model, frozen, _shared_tokens(config))
    if different:
        raise BadInput(f"The trunk of {start.path} does not fit: {different}")
    return described
