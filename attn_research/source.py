"""The checkpoint that a run starts from: which one it is, and its arrays.

A resolved start names a checkpoint by its content. A run reads it before its first step
and never again: it resumes from checkpoints of its own.
"""

import dataclasses

from attn_research import layout, transfer
from attn_research.checkpoint import Described, describe, load
from attn_research.checkpoint.tree import paths
from attn_research.config import Model, Start, flatten
from attn_research.functional import Functional, Params
from attn_research.options import BadInput, word

# What may be another way without what the trunk computes of a sequence being another.
FREE = {
    "scan", "pool", "rescale", "tied", "embed_dropout", "dropout", "dtype", "remat"
}  # fmt: skip


def resolve(start: Start, model: Functional) -> Start:
    """`start` with its member, step and digest written out; reads no array.

    Reads nothing where the digest is there already. Raises `BadInput` where the trunk
    does not fit the model, or nothing would learn.
    """
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
    found = _described(start, model)
    return dataclasses.replace(
        start, member=found.member, step=found.step, digest=found.digest
    )


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


def trunk(start: Start, model: Functional) -> Params:
    """The trunk of a resolved start as host arrays that fit the model, {} for none.

    Raises `BadInput` where the source is not what it was, `Damaged` where its
    checkpoint is.
    """
    if start.path is None:
        return {}
    found = _described(start, model)
    if found.digest != start.digest:
        raise BadInput(
            f"{start.path} is not what this run is to start from: step {found.step} "
            f"has the digest {found.digest}, not {start.digest}; another --out starts "
            "from what is there"
        )
    arrays = load(start.path, found.member, found.step).params
    return transfer.fitted(paths(arrays), model)


def note(start: Start, model: Model, causal: bool) -> str | None:
    """What the trunk is not used as it was trained, in a sentence; None where it is.

    Parameters of one shape may mean another thing: with another number of heads, say.
    """
    if start.path is None:
        return None
    run = layout.read_config(start.path)
    was = {**flatten(run.config.model), "causal": run.sizes.get("causal")}
    now = {**flatten(model), "causal": causal}
    changed = [
        f"{name} was {word(was.get(name))} and is {word(value)}"
        for name, value in now.items()
        if value != was.get(name) and name not in FREE
    ]
    if not changed:
        return None
    return f"The trunk of {start.path} is used another way: {'; '.join(changed)}."


def _described(start: Start, model: Functional) -> Described:
    """What the checkpoint says of itself; raises `BadInput` where it does not fit."""
    assert start.path is not None
    member = "best" if start.member is None else start.member
    found = describe(start.path, member, start.step)
    different = transfer.misfit(found.shapes, model, start.trunk == "frozen")
    if different:
        raise BadInput(f"The trunk of {start.path} does not fit: {different}")
    return found
