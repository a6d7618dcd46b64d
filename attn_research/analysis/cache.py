"""Results of analyses, cached by content in the directory of a run as JSON.

    RUN/analysis/cache/CODE/NAME-KEY.json    {"key", "digest", "result"}

A key names all that a result depends on: the parameters, the code, the analysis and
the sequences it looks at. Damaged results are measured again, those of other versions
of the code are removed, and a directory that cannot be written caches nothing.
"""

import functools
import hashlib
import inspect
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from attn_research import plugins
from attn_research.checkpoint import describe
from attn_research.config import content_hash
from attn_research.host import environment
from attn_research.host.durable import Damaged, read_json, to_json, write_json

DIRECTORY = "analysis"
CACHE = "cache"

Result = TypeVar("Result")


def folder(directory: str | os.PathLike[str]) -> Path:
    """The directory of the cached results of a run."""
    return Path(directory) / DIRECTORY / CACHE


def cached(
    folder: Path,
    name: str,
    key: Mapping[str, Any],
    measure: Callable[[], Result],
    encode: Callable[[Result], Any],
    decode: Callable[[Any], Result],
    code: str = "",
) -> tuple[Result, bool]:
    """The result, measured or cached, and whether it was cached.

    `encode` turns a result into JSON; `decode` reads it, and raises KeyError, TypeError
    or ValueError for anything else. A measured result is read back too, so that both
    are the same to the last bit.
    """
    code = code or environment.whole()
    key = {**key, **plugins.facts(plugins.described())}
    whole = {"analysis": name, "code": code, **key}
    path = folder / code / f"{name}-{content_hash(whole)}.json"
    try:
        return _read(path, whole, decode), True
    except Damaged:  # also without a file
        result = encode(measure())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for other in os.listdir(folder):
            if other != code:
                shutil.rmtree(folder / other, ignore_errors=True)
        write_json(path, {"key": whole, "digest": _digest(result), "result": result})
    except OSError:  # a read-only run
        return decode(result), False
    return _read(path, whole, decode), False


def cached_by_member(
    measure: Callable[..., tuple[float, ...]],
) -> Callable[..., tuple[float, ...]]:
    """A decorator that caches the numbers of `measure(directory, member, ...)`.

    They are cached in the run by the parameters of the member, the other arguments, the
    code of the package, and that of the module of `measure`.
    """
    name = measure.__name__
    module = inspect.getsource(inspect.getmodule(measure) or measure)
    source = hashlib.blake2b(module.encode(), digest_size=16).hexdigest()

    @functools.cache
    def numbers(directory: str, member: int, *arguments: Any) -> tuple[float, ...]:
        key = {
            "params": describe(directory, member).digest,
            "member": member,
            "arguments": list(arguments),
            "source": source,
        }
        result, _ = cached(
            folder(directory),
            name,
            key,
            lambda: measure(directory, member, *arguments),
            lambda numbers: [float(number) for number in numbers],
            tuple,
        )
        return result

    return functools.wraps(measure)(numbers)


def _read(
    path: Path, key: Mapping[str, Any], decode: Callable[[Any], Result]
) -> Result:
    """The result in a file; raises `Damaged` if it is not what was written."""
    entry = read_json(path)
    if entry.get("key") != key or entry.get("digest") != _digest(entry.get("result")):
        raise Damaged(f"{path} is damaged (its key or digest does not match)")
    try:
        return decode(entry["result"])
    except (KeyError, TypeError, ValueError) as error:
        raise Damaged(f"{path} is damaged ({error})") from error


def _digest(result: Any) -> str:
    return hashlib.blake2b(to_json(result).encode(), digest_size=16).hexdigest()
