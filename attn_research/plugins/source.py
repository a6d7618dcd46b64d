"""The source of a plugin: where it is, its digest, its dicts, and the lines of these.

What cannot be found or imported is one sentence, with the file and the line.
"""

import ast
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import sys
import traceback
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from attn_research.options import BadInput, nearest

GROUP = "attn_research.plugins"
KINDS = ("MIXERS", "TASKS", "METRICS", "OPTIMIZERS", "ANALYSES")


class Plugin(NamedTuple):
    """Its name, where it is (a file or a module), and the digest of its source."""

    name: str
    source: str
    digest: str


class Place(NamedTuple):
    """A plugin that is not imported yet; `module` is None for a file."""

    plugin: Plugin
    file: Path
    module: str | None


def find(name: str) -> Place:
    """Where a plugin is: a file, a module, or one that a package announces.

    Raises `BadInput` if it is not there or cannot be read.
    """
    if name.endswith(".py") or "/" in name:
        file = Path(name).expanduser().resolve()
        if not file.is_file():
            raise _missing(name)
        digest = _digest(name, file.parent, [file])
        return Place(Plugin(file.stem, str(file), digest), file, None)
    announced = importlib.metadata.entry_points(group=GROUP)
    module = announced[name].module if name in announced.names else name
    try:
        spec = importlib.util.find_spec(module)
    except Exception as error:  # a package above it fails, or the name is no name
        absent = error.name if isinstance(error, ModuleNotFoundError) else None
        if absent and f"{module}.".startswith(f"{absent}."):
            raise _missing(name) from None
        raise _broken(error, Path(name)) from None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        raise _missing(name)
    file = Path(spec.origin)
    depth = module.count(".") + (file.name == "__init__.py")  # below its package
    root = file.parents[depth - 1] if depth else file.parent
    files = sorted(root.rglob("*.py")) if depth else [file]
    digest = _digest(name, root, files)
    return Place(Plugin(name, name, digest), file, module)


def _missing(name: str) -> BadInput:
    known = ", ".join(installed())
    return BadInput(
        f"The plugin {name} is not found; it must be a Python file, a module that can "
        f"be imported, or an installed plugin ({known or 'there are none'})"
    )


def _digest(name: str, root: Path, files: Sequence[Path]) -> str:
    """The digest of source files, of a package all of them."""
    digest = hashlib.blake2b(digest_size=8)
    try:
        for file in files:
            digest.update(f"{file.relative_to(root)}\0".encode())
            digest.update(file.read_bytes() + b"\0")
    except OSError as error:
        raise BadInput(
            f"The plugin {name} cannot be read ({error.strerror}); it must be a "
            "readable file"
        ) from None
    return digest.hexdigest()


def _imported(place: Place) -> types.ModuleType:
    """The module of a plugin; raises `BadInput` with the line at which that ends."""
    own = f"_attn_research_plugin_{place.plugin.name}"
    try:
        if place.module is not None:
            return importlib.import_module(place.module)
        spec = importlib.util.spec_from_file_location(own, place.file)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[own] = module  # types of options are looked up there
        spec.loader.exec_module(module)
        return module
    except (Exception, SystemExit) as error:
        sys.modules.pop(own, None)
        sentence = _broken(error, place.file)
    raise sentence


def _broken(error: BaseException, file: Path) -> BadInput:
    """The sentence on an import that failed: the line of the plugin, and the reason."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename) == file] or frames
    where, line = (own[-1].filename, own[-1].lineno) if own else (str(file), 1)
    if isinstance(error, SyntaxError) and error.filename:
        where, line = error.filename, error.lineno
    return BadInput(
        f"{where}, line {line or 1}: {_words(error)}; a plugin must be importable"
    )


def _words(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg}"
    first = (str(error).strip().splitlines() or ["no reason given"])[0]
    return f"{type(error).__name__}: {first}"


def installed() -> list[str]:
    """The names of the plugins that installed packages announce."""
    return sorted(importlib.metadata.entry_points(group=GROUP).names)


def read(place: Place) -> dict[str, dict[str, Any]]:
    """The dicts of a plugin by their names, which are those of the tables."""
    module = _imported(place)
    found = {kind: getattr(module, kind) for kind in KINDS if kind in vars(module)}
    if not found:
        capitals = [name for name in vars(module) if name.isupper()]
        close = "".join(filter(None, (_near(name) for name in capitals)))
        raise BadInput(
            f"{place.file} has none of {', '.join(KINDS)}{close}; a plugin must have "
            "one of them"
        )
    for kind, entries in found.items():
        if not isinstance(entries, dict):
            at = _assigned(place.file, kind)
            raise BadInput(
                f"{place.file}, line {at}: {kind} is a {type(entries).__name__}; it "
                "must be a dict of names and entries"
            )
    return {kind: dict(entries) for kind, entries in found.items()}


def _near(name: str) -> str:
    close = nearest(name, KINDS)
    return f" (for {name}{close})" if close else ""


def where(file: Path, kind: str, entry: Any) -> str:
    """The file and the line of an entry, of its dict if the entry has none there."""
    for one in (entry, getattr(entry, "module", None)):
        try:
            source = inspect.getsourcefile(one)  # type: ignore
            lines, first = inspect.getsourcelines(one)  # type: ignore
        except (TypeError, OSError):
            continue
        if source and Path(source).resolve() == file.resolve():
            skipped = [n for n, line in enumerate(lines) if line.lstrip()[:1] != "@"]
            return f"{file}, line {first + skipped[0]}"
    return f"{file}, line {_assigned(file, kind)}"


def _assigned(file: Path, name: str) -> int:
    """The line at which a module assigns a name."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Name) and node.id == name:
            if isinstance(node.ctx, ast.Store):
                return node.lineno
    return 1
