"""Results by content, kept in the directory of a run as JSON.

    RUN/analysis/cache/CODE/NAME-KEY.json    {"key", "digest", "shown"}

A key names all that a result depends on: the parameters, the code, the analysis and
what the model is looked at with. What is damaged is measured again, what another
version of the code has left is removed, and where nothing can be written nothing is
kept.
"""

import functools
import hashlib
import inspect
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from attn_research import environment
from attn_research.checkpoint import describe
from attn_research.config import content_hash
from attn_research.durable import Damaged, read_json, to_json, write_json

DIRECTORY = "analysis"
CACHE = "cache"

Found = TypeVar("Found")


def folder(directory: str | os.PathLike[str]) -> Path:
    """Where the results of a run are kept."""
    return Path(directory) / DIRECTORY / CACHE


def remembered(
    folder: Path,
    name: str,
    key: Mapping[str, Any],
    measure: Callable[[], Found],
    told: Callable[[Found], Any],
    shown: Callable[[Any], Found],
    code: str = "",
) -> tuple[Found, bool]:
    """What is measured, or as it was kept; and whether it was kept.

    `told` gives a result as JSON has it, and `shown` reads that; it raises for what is
    none. Both answers are the same to the last bit: what is measured is read back too.
    """
    code = code or environment.whole()
    whole = {"analysis": name, "code": code, **key}
    path = folder / code / f"{name}-{content_hash(whole)}.json"
    try:
        return _read(path, whole, shown), True
    except Damaged:  # also where there is none
        found = told(measure())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for other in os.listdir(folder):
            if other != code:
                shutil.rmtree(folder / other, ignore_errors=True)
        write_json(path, {"key": whole, "digest": _digest(found), "shown": found})
    except OSError:  # a run that can be read alone
        return shown(found), False
    return _read(path, whole, shown), False


def of_members(
    measure: Callable[..., tuple[float, ...]],
) -> Callable[..., tuple[float, ...]]:
    """Numbers of a member of a run, measured once: `measure(directory, member, ...)`.

    They are kept in the run, by the parameters of the member, the further arguments,
    the code of the package, and that of the module that measures.
    """
    name = measure.__name__
    module = inspect.getsource(inspect.getmodule(measure) or measure)
    source = hashlib.blake2b(module.encode(), digest_size=16).hexdigest()

    @functools.cache
    def found(directory: str, member: int, *asked: Any) -> tuple[float, ...]:
        key = {
            "params": describe(directory, member).digest,
            "member": member,
            "asked": list(asked),
            "source": source,
        }
        numbers, _ = remembered(
            folder(directory),
            name,
            key,
            lambda: measure(directory, member, *asked),
            lambda numbers: [float(number) for number in numbers],
            tuple,
        )
        return numbers

    return functools.wraps(measure)(found)


def _read(path: Path, key: Mapping[str, Any], shown: Callable[[Any], Found]) -> Found:
    """What a file holds; raises `Damaged` where it is not what was written."""
    found = read_json(path)
    if found.get("key") != key or found.get("digest") != _digest(found.get("shown")):
        raise Damaged(f"{path} is damaged (it has another key or digest)")
    try:
        return shown(found["shown"])
    except (KeyError, TypeError, ValueError) as error:
        raise Damaged(f"{path} is damaged ({error})") from error


def _digest(told: Any) -> str:
    return hashlib.blake2b(to_json(told).encode(), digest_size=16).hexdigest()
