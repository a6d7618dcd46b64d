"""Read-only access to the checkpoints of a run."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attn_research.checkpoint import step as one
from attn_research.checkpoint.tree import fill
from attn_research.host.durable import Damaged
from attn_research.options import BadInput
from attn_research.trees import nest

_STEP = re.compile(r"\d{8,}")


def folder(directory: Path, step: int) -> Path:
    """The directory of a step."""
    return directory / f"{step:08d}"


def steps(directory: str | os.PathLike[str]) -> list[int]:
    """The acknowledged steps, oldest first."""
    directory = Path(directory)
    names = os.listdir(directory) if directory.is_dir() else []
    return sorted(int(name) for name in names if _STEP.fullmatch(name))


def newest_good(directory: Path, without: int | None = None) -> int | None:
    """The newest step whose items can all be read, or None; reads them whole."""
    for step in reversed(steps(directory)):
        if step == without:
            continue
        try:
            one.verify(folder(directory, step))
        except Damaged:
            continue
        return step
    return None


def read(
    directory: str | os.PathLike[str],
    items: Sequence[str],
    targets: Mapping[str, Any] | None = None,
    step: int | None = None,
) -> tuple[int, dict[str, Any], dict[str, Any]]:
    """(step, item -> tree, facts) of the newest step, or of `step`.

    The trees are host arrays in the structure of `targets` if given, else nested dicts.
    Raises `Damaged` naming the newest good step, `BadInput` if the step or an item is
    missing, or its structure, shape or dtype differs.
    """
    directory = Path(directory)
    while True:
        known = steps(directory)
        if not known:
            raise BadInput(f"{directory} must hold a checkpoint; it holds none")
        if step is not None and step not in known:
            listed = ", ".join(map(str, known))
            raise BadInput(f"{directory} holds no step {step} (known: {listed})")
        chosen = known[-1] if step is None else step
        try:
            return chosen, *_read(folder(directory, chosen), items, targets or {})
        except Damaged as error:
            if step is None and not folder(directory, chosen).exists():
                continue  # a writer has deleted it meanwhile
            good = newest_good(directory, without=chosen)
            words = (
                "no good one is left"
                if good is None
                else f"the newest good one is step {good} (load it with step={good})"
            )
            raise Damaged(f"{error}; {words}") from error


def kinds(
    directory: str | os.PathLike[str], item: str, step: int | None = None
) -> tuple[int, dict[str, dict[str, Any]], dict[str, Any]]:
    """(step, path -> dtype, shape and digest of each leaf, facts); reads no array.

    Raises as `read` does, if the metadata of the step is damaged.
    """
    chosen, _, facts = read(directory, [], step=step)
    place = folder(Path(directory), chosen)
    described = one.read_facts(place)
    _require(place, described, [item])
    return chosen, described.items[item], facts


def _read(
    directory: Path, items: Sequence[str], targets: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    facts = one.read_facts(directory)
    _require(directory, facts, items)
    trees: dict[str, Any] = {}
    for name in items:
        leaves = one.read_item(directory, name, facts)
        trees[name] = fill(leaves, targets[name]) if name in targets else nest(leaves)
    return trees, facts.facts


def _require(directory: Path, facts: one.Facts, items: Sequence[str]) -> None:
    for name in items:
        if name not in facts.items:
            known = ", ".join(facts.items)
            raise BadInput(f"{directory} holds no item {name!r} (known: {known})")
