"""The files of a run's directory, and how each is read.

    config.json      {"config", "population", "sizes"}: what runs
    metrics.jsonl    one line per evaluation and member
    checkpoints/     see `checkpoint`
    result.json      written last: the run is done
    error.json       {"kind", "message", "exit"}: the last attempt failed

A file that is not what was written raises `Damaged` in one sentence that names it.
"""

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from attn_research.config import Config, Population, to_dict
from attn_research.durable import Damaged, read_json, write_json
from attn_research.options import BadInput, build

CONFIG, METRICS, RESULT, ERROR = (
    "config.json",
    "metrics.jsonl",
    "result.json",
    "error.json",
)
CHECKPOINTS = "checkpoints"
STUDY, CELLS = "study.json", "cells"  # of a study, whose cells are runs
ErrorKind = Literal[
    "bad_input", "memory_refused", "oom", "oom_killed", "killed", "disk", "internal"
]
MEMBER = ("member", "seed", "lr", "weight_decay", "status", "step")


class Run(NamedTuple):
    """What runs in a directory; `sizes` is empty until its task was built."""

    config: Config
    population: Population
    sizes: dict[str, Any]


def members(population: Population) -> int:
    """How many members a population has."""
    return math.prod(len(values) for values in to_dict(population).values())


def write_config(
    directory: str | os.PathLike[str],
    config: Config,
    population: Population,
    sizes: Mapping[str, Any] | None = None,
) -> None:
    """Replaces config.json."""
    value = {"config": to_dict(config), "population": to_dict(population)}
    write_json(Path(directory) / CONFIG, {**value, "sizes": dict(sizes or {})})


def read_config(directory: str | os.PathLike[str]) -> Run:
    """What runs in a directory."""
    path = Path(directory) / CONFIG
    found = read_json(path)
    try:
        config = build(Config, found["config"], "config")
        population = build(Population, found["population"], "population")
        return Run(config, population, dict(found.get("sizes") or {}))
    except (BadInput, KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else error
        raise Damaged(f"{path} is damaged ({reason})") from error


def read_result(directory: str | os.PathLike[str]) -> dict[str, Any] | None:
    """The result of a finished run, None before it is done."""
    path = Path(directory) / RESULT
    if not path.exists():
        return None
    found = read_json(path)
    members = found.get("members")
    if not isinstance(members, list) or not members:
        raise Damaged(f"{path} is damaged (it lists no members)")
    for member in members:
        missing = [n for n in MEMBER if not isinstance(member, dict) or n not in member]
        if missing:
            raise Damaged(f"{path} is damaged (a member has no {missing[0]!r})")
    return found


def write_error(
    directory: str | os.PathLike[str],
    kind: ErrorKind,
    message: str,
    exit: int,
    **more: Any,
) -> None:
    """Records why the last attempt failed."""
    value = {"kind": kind, "message": message, "exit": exit, **more}
    write_json(Path(directory) / ERROR, value)


def read_error(directory: str | os.PathLike[str]) -> dict[str, Any] | None:
    """Why the last attempt failed, None where it did not."""
    path = Path(directory) / ERROR
    if not path.exists():
        return None
    found = read_json(path)
    if found.get("kind") not in get_args(ErrorKind) or "message" not in found:
        raise Damaged(f"{path} is damaged (it names no known kind of error)")
    return found
