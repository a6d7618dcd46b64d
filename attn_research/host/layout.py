"""The files of a run's directory, and how each is read.

    config.json      {"config", "population", "sizes", "data", "plugins"}: what runs
    metrics.jsonl    one line per evaluation and member
    checkpoints/     see `checkpoint`
    result.json      written last: the run is done
    error.json       {"kind", "message", "exit"}: the last attempt failed
    progress.json    how far the run is while it runs (see `heartbeat`)
    tensorboard/, wandb/    its curves for others' viewers, made from metrics.jsonl

All but progress.json and what is for viewers are sealed: a file that differs from what
was written raises `Damaged`, which names the file. A checkpoint holds the `identity` of
its run, so that it cannot be read with the config of another.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from attn_research.config import Config, Population, content_hash, to_dict
from attn_research.host.durable import Damaged, read_json, write_json
from attn_research.options import BadInput, build

CONFIG, METRICS, RESULT, ERROR = (
    "config.json",
    "metrics.jsonl",
    "result.json",
    "error.json",
)
CHECKPOINTS, FLAGFILE, LOG = "checkpoints", "flags.txt", "log.txt"
PROGRESS = "progress.json"
TRACKING = ".tracking"  # held by who shows the run in the SINKS
SINKS = ("tensorboard", "wandb")
LAYOUT = ("NPROC", "XLA_FLAGS")
TEMPORARY = re.compile(r"\..+\.\d+\.tmp")  # of `durable.atomic_write`
STUDY, CELLS = "study.json", "cells"  # of a study, whose cells are runs
ErrorKind = Literal[
    "bad_input", "memory_refused", "oom", "oom_killed", "killed", "disk", "internal"
]
Phase = Literal["preparing", "compiling", "training", "testing", "decoding", "ending"]
MEMBER = ("member", "seed", "lr", "weight_decay", "status", "step")


class Run(NamedTuple):
    """What runs in a directory; `sizes` is empty until its task is built.

    `data` is the digest of the task's arrays; `id` that of the config and population,
    and `identity` that of all of it, as they were written. `plugins` describes each
    plugin that the run needs, as `plugins.used` does.
    """

    config: Config
    population: Population
    sizes: dict[str, Any]
    data: str = ""
    id: str = ""
    identity: str = ""
    plugins: dict[str, dict[str, str]] = {}


def saved(directory: str | os.PathLike[str]) -> int:
    """The step of the newest checkpoint, 0 before the first one."""
    return max(map(int, _steps(directory)), default=0)


def _steps(directory: str | os.PathLike[str]) -> list[str]:
    """The names of the checkpoints, oldest first."""
    folder = Path(directory) / CHECKPOINTS
    return sorted(p.name for p in folder.glob("*") if p.name.isdecimal())


def began(directory: str | os.PathLike[str]) -> dict[str, str]:
    """NPROC and XLA_FLAGS under which the newest checkpoint was written, {} if none.

    The layout of threads and devices decides the bits: a run goes on under the one that
    it began with, however many workers share the machine now.
    """
    folder = Path(directory) / CHECKPOINTS
    for name in reversed(_steps(directory)):
        try:
            facts = read_json(folder / name / "facts.json")["facts"]["environment"]
            return {name: str(facts[name]) for name in LAYOUT if facts[name]}
        except (Damaged, KeyError, TypeError):  # found and said when it is restored
            continue
    return {}


def foreign(directory: str | os.PathLike[str]) -> list[str]:
    """Names in a directory that no run writes, of its own unfinished start included."""
    known = {CONFIG, METRICS, RESULT, ERROR, CHECKPOINTS, FLAGFILE, LOG, PROGRESS}
    known |= {TRACKING, *SINKS}
    names = [path.name for path in Path(directory).iterdir()]
    return sorted(n for n in names if n not in known and not TEMPORARY.fullmatch(n))


def write_config(
    directory: str | os.PathLike[str],
    config: Config,
    population: Population,
    sizes: Mapping[str, Any] | None = None,
    data: str = "",
    plugins: Mapping[str, Mapping[str, str]] | None = None,
) -> None:
    """Replaces config.json."""
    value = {"config": to_dict(config), "population": to_dict(population)}
    value |= {"sizes": dict(sizes or {}), "data": data}
    if plugins:
        value["plugins"] = {name: dict(known) for name, known in plugins.items()}
    write_json(Path(directory) / CONFIG, value)


def read_config(directory: str | os.PathLike[str]) -> Run:
    """What runs in a directory."""
    path = Path(directory) / CONFIG
    found = read_json(path)
    try:
        config = build(Config, found["config"], "config")
        population = build(Population, found["population"], "population")
        sizes, data = dict(found.get("sizes") or {}), str(found.get("data", ""))
        parts = found["config"], found["population"]
        needed = read_plugins(found)
        digests = {name: known["digest"] for name, known in needed.items()}
        more = {"plugins": digests} if digests else {}
        identity = content_hash(*parts, {"sizes": sizes, "data": data, **more})
        id = content_hash(*parts)
        return Run(config, population, sizes, data, id, identity, needed)
    except (BadInput, KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else error
        raise Damaged(f"{path} is damaged ({reason})") from error


def read_plugins(found: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """The plugins in the content of config.json or study.json, {} if it needs none.

    Raises ValueError if they are not described.
    """
    needed = {
        str(name): {key: str(known[key]) for key in ("source", "digest", "entries")}
        for name, known in dict(found.get("plugins") or {}).items()
    }
    return needed


def check_identity(
    checkpoint: str | os.PathLike[str], facts: Mapping[str, Any], run: Run
) -> None:
    """Raises `Damaged` if a checkpoint was written by another run than `run`.

    Checkpoints of older versions have no identity.
    """
    if facts.get("run", run.identity) != run.identity:
        raise Damaged(
            f"{checkpoint} was written by another run than its {CONFIG} describes; the "
            "two must be from one run"
        )


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
            raise Damaged(f"{path} is damaged (a member lacks {missing[0]!r})")
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
    """Why the last attempt failed, None if it did not."""
    path = Path(directory) / ERROR
    if not path.exists():
        return None
    found = read_json(path)
    if found.get("kind") not in get_args(ErrorKind) or "message" not in found:
        raise Damaged(f"{path} is damaged (its kind of error is unknown)")
    return found
