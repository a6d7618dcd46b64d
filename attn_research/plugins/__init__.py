"""Mixers, tasks and more that are not ours, in the tables beside those that are.

A plugin is a Python file, or a module of a package, with some of these dicts:

    MIXERS = {"mine": Mine}             classes of mixers, or presets of one
    TASKS = {"my_task": MyTask}         classes of tasks
    METRICS = {"top5": Score(...)}      a score of predictions (`losses.Score`)
    OPTIMIZERS = {"mine": mine}         hypers -> the optax transform in Adam's place
    ANALYSES = {"my_view": Analysis("One sentence.", show)}

Nothing happens when it is imported; `load` reads the dicts, checks every entry and adds
it to its table. A package announces a plugin in its pyproject.toml:

    [project.entry-points."attn_research.plugins"]
    mine = "my_package.mixers"

A plugin runs as the user's own code does: it is loaded if it is named or installed,
never because the files of a run name it.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from attn_research.options import BadInput
from attn_research.plugins import source
from attn_research.plugins.source import Plugin, installed

T = TypeVar("T")
Check = Callable[[str, Any], str | None]


class _Loaded(NamedTuple):
    plugin: Plugin
    file: Path
    entries: dict[str, dict[str, Any]]  # by kind, then by name

    def of(self, kind: str) -> dict[str, Any]:
        """The entries of one kind."""
        return self.entries.get(kind, {})


_TABLES: dict[str, tuple[dict[str, Any], Check]] = {}
_LOADED: dict[str, _Loaded] = {}


def table(kind: str, entries: dict[str, T], check: Check) -> dict[str, T]:
    """The table of that kind, to which plugins add theirs.

    `check(name, entry)` returns what is wrong with an entry of a plugin, or None.
    """
    _TABLES[kind] = entries, check
    for loaded in _LOADED.values():  # before this table was there
        _add(loaded, [kind])
    return entries


def load(names: Iterable[str]) -> list[Plugin]:
    """Adds plugins to the tables: files (`a/b.py`), modules, names of installed ones.

    One that is loaded already is left as it is. Raises `BadInput`, with the file and
    the line, for one that is not found, cannot be imported, has changed since it was
    loaded, breaks the contract of a table, or brings a name that a table has. A text
    that stands alone is one plugin.
    """
    found = []
    for name in _names(names):
        loaded = _read(name)
        before = _LOADED.get(loaded.plugin.name)
        if before is None:
            _add(loaded, list(loaded.entries))
            _LOADED[loaded.plugin.name] = loaded
        elif before.plugin.source != loaded.plugin.source:
            raise BadInput(
                f"Two plugins are named {loaded.plugin.name!r}, in "
                f"{before.plugin.source} and {loaded.plugin.source}; their names must "
                "differ"
            )
        found.append(_LOADED[loaded.plugin.name].plugin)
    return found


def _names(given: Any) -> list[str]:
    """The plugins that are given; raises `BadInput` if they are no texts."""
    if isinstance(given, (str, os.PathLike)):
        given = [given]
    with suppress(TypeError):
        names = [os.fspath(name) for name in given]
        if all(isinstance(name, str) and name for name in names):
            return names
    raise BadInput(
        f"The plugins are {given!r}; they must be a list of files, modules or names"
    )


def loaded() -> list[Plugin]:
    """The plugins of this process, in the order in which they were loaded."""
    return [one.plugin for one in _LOADED.values()]


def judged(plugin: Plugin) -> list[str]:
    """The names of the mixers and the tasks that a loaded plugin brings."""
    one = _LOADED[plugin.name]
    return [*one.of("MIXERS"), *one.of("TASKS")]


def described() -> dict[str, dict[str, str]]:
    """What names every plugin of this process; see `used`."""
    return used((kind, name) for kind, name in _provided())


def used(entries: Iterable[tuple[str, str]]) -> dict[str, dict[str, str]]:
    """What names the plugins that these entries, (kind, name), come from.

    Plugin -> its `source`, the `digest` of that, and those of the `entries` it has, as
    the files of a run hold them.
    """
    wanted, found = sorted(set(entries)), {}
    for name, one in sorted(_LOADED.items()):
        own = [f"{kind}.{entry}" for kind, entry in wanted if entry in one.of(kind)]
        if own:
            source, digest = one.plugin.source, one.plugin.digest
            found[name] = {"source": source, "digest": digest, "entries": ",".join(own)}
    return found


def facts(needed: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """The digests of plugins as facts of the environment of a run."""
    return {f"plugin {name}": known["digest"] for name, known in needed.items()}


def require(
    needed: Mapping[str, Mapping[str, str]], where: str, given: Sequence[str] = ()
) -> None:
    """Loads the plugins that a run needs, those `given` and those that are installed.

    One that is loaded or given may have changed since the run; one that is found only
    because it is installed may not. Raises `BadInput` that says how to give what is
    missing.
    """
    load(given)
    for name, known in needed.items():
        if _has(known):
            continue
        for other in installed():
            if source.find(other).plugin.digest == known["digest"]:
                load([other])
                break
        else:
            raise BadInput(
                f"{where} needs the plugin {name!r}, which was {known['source']}; it "
                f"must be given: --plugin={known['source']}, or in Python "
                f"plugins=[{known['source']!r}]"
            )


def _has(known: Mapping[str, str]) -> bool:
    """Whether a plugin of a run is loaded: its source, or all that the run needs."""
    if any(one.plugin.digest == known["digest"] for one in _LOADED.values()):
        return True
    provided = {f"{kind}.{name}" for kind, name in _provided()}
    return set(known["entries"].split(",")) <= provided


def _provided() -> list[tuple[str, str]]:
    return [
        (kind, name)
        for one in _LOADED.values()
        for kind, entries in one.entries.items()
        for name in entries
    ]


def _read(name: str) -> _Loaded:
    """A plugin, imported; its entries are not checked yet."""
    place = source.find(name)
    # An installed plugin may be given by its module too.
    before = next((one for one in _LOADED.values() if one.file == place.file), None)
    if before is None:
        return _Loaded(place.plugin, place.file, source.read(place))
    if (
        before.plugin.source == place.plugin.source
        and before.plugin.digest != place.plugin.digest
    ):
        raise BadInput(
            f"The plugin {place.plugin.source} has changed since it was loaded; the "
            "process must be started again"
        )
    return before


def _add(loaded: _Loaded, kinds: Sequence[str]) -> None:
    """Adds the entries of a plugin to the tables that are there, all or none."""
    there = [kind for kind in kinds if kind in _TABLES and kind in loaded.entries]
    for kind in there:
        entries, check = _TABLES[kind]
        for name, entry in loaded.entries[kind].items():
            wrong = _wrong(kind, name, entries) or check(name, entry)
            if wrong:
                raise BadInput(f"{source.where(loaded.file, kind, entry)}: {wrong}")
    for kind in there:
        _TABLES[kind][0].update(loaded.entries[kind])


def _wrong(kind: str, name: Any, entries: Mapping[str, Any]) -> str | None:
    if not isinstance(name, str) or not name.isidentifier():
        return (
            f"{name!r} is a name of {kind}; it must be letters, digits and underscores"
        )
    if name in entries:
        owner = next(
            (one.plugin.source for one in _LOADED.values() if name in one.of(kind)),
            "attn_research",
        )
        return f"{kind} of {owner} has {name!r} already; the name must be another one"
    return None
