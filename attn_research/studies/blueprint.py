"""A published architecture in place of a pattern: `--architecture=griffin`.

It sets the pattern and the fields of the model that go with it, and one pass of the
pattern as the depth; a flag or an axis that names another field goes before it.
"""

import dataclasses
from collections.abc import Collection

from attn_research.config import Config, edit
from attn_research.modules import pattern as patterns
from attn_research.modules.architectures import Architecture, architecture
from attn_research.options import BadInput
from attn_research.studies.study import Study

__all__ = ["architecture", "config", "sentence", "study", "whole"]
PATTERN = "model.pattern"


def config(one: Config, built: Architecture, given: Collection[str] = ()) -> Config:
    """The config with that architecture, but for the fields that are `given`.

    Raises `BadInput` if the pattern is given.
    """
    if PATTERN in given:
        raise BadInput(
            "--architecture and --model.pattern both say which mixers there are; one "
            "of them must be left out"
        )
    layers = len(patterns.layers(built.pattern))
    fields = {"layers": layers, **built.fields, "pattern": built.pattern}
    named = {f"model.{name}": value for name, value in fields.items()}
    return edit(one, {k: value for k, value in named.items() if k not in given})


def study(one: Study, built: Architecture, given: Collection[str] = ()) -> Study:
    """The study with that architecture in each cell; raises `BadInput`.

    Its own axes go before the architecture, and none may name the pattern.
    """
    if PATTERN in one.axes:
        raise BadInput(
            f"--architecture sets {PATTERN}, which is an axis of {one.name}; a study "
            "that compares mixers must be run without it"
        )
    based = config(one.base, built, {*one.axes, *given})
    return dataclasses.replace(one, base=based)


def whole(one: Config) -> Config:
    """The config with its depth rounded up to whole passes of its pattern."""
    length = len(patterns.layers(one.model.pattern))
    return edit(one, {"model.layers": -(-one.model.layers // length) * length})


def sentence(name: str, built: Architecture) -> str:
    """What an architecture sets and lacks, as it is said before a run."""
    fields = ", ".join(f"{field} {value}" for field, value in built.fields.items())
    said = f"--architecture={name}: {built.pattern}"
    said += f"; {fields}." if fields else "."
    return f"{said} Left out: {built.left_out}" if built.left_out else said
