"""The cells of a study, or the one run of a directory, by what they have run."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from attn_research import checkpoint
from attn_research.checkpoint import Restored, portable
from attn_research.host import layout
from attn_research.host.durable import Damaged, DiskError
from attn_research.modules import pattern
from attn_research.options import BadInput, unknown
from attn_research.options.specs import parse, split
from attn_research.plugins import require
from attn_research.studies import store
from attn_research.studies.described import read_study
from attn_research.studies.readers import fault
from attn_research.studies.results import fields, varying

PATTERN = "model.pattern"
SHOWN = 6  # values of a field that a sentence lists


class Found(NamedTuple):
    """A run: its `id`, its `directory`, what it runs (`run`), and its config.

    `fields` are those of the config by their dotted names.
    """

    id: str
    directory: Path
    run: layout.Run
    fields: dict[str, Any]

    @property
    def mixer(self) -> str:
        """The pattern with only the options that differ from their defaults."""
        return pattern.brief(self.run.config.model.pattern)


def load(
    path: str | os.PathLike[str],
    member: Literal["best"] | int = "best",
    step: int | None = None,
    *,
    mixer: str | None = None,
    where: Mapping[str, Any] | None = None,
    plugins: Sequence[str] = (),
) -> Restored:
    """One trained model: `logits_BTV = restored.model.apply(restored.params, tokens)`.

    `path` is the directory of a run, a file of `attn-research export`, or the directory
    of a study of which `mixer` and `where` choose a cell: `load("runs/recall",
    mixer="dense", where={"task.length": 64})`. `mixer` is a pattern
    (`"conv,gated_delta(heads=4)"`; options left out have their defaults; if no cell has
    those, names alone stand for any options), `where` holds fields of the
    config by their dotted names. `member` is that of the population, `"best"` the best
    in validation; `step` is a checkpoint, None the newest. Needs neither the training
    data nor the devices of the training, but the `plugins` (files, modules or names)
    that the run was trained with, unless they are loaded or installed.

    Raises `BadInput` if no cell or several are meant, with what tells them apart, and
    for a member or step that the run does not have; `Damaged` names the newest good
    step.
    """
    path = place(path)
    if path.suffix == portable.SUFFIX and not path.is_dir():
        if member != "best" or step is not None or mixer is not None or where:
            raise BadInput(
                f"{path} holds one model: member, step, mixer and where choose among "
                "several and must be left out"
            )
        return portable.read(path, plugins)
    run = directory(path, mixer, where, plugins)
    return checkpoint.load(run, member=member, step=step, plugins=plugins)


def place(path: str | os.PathLike[str]) -> Path:
    """The `path` that is given, as a `Path`. Raises `BadInput` if it is none."""
    if not isinstance(path, (str, os.PathLike)) or not str(path):
        raise BadInput(
            f"The path is {path!r}; it must be that of a run or a study, as text"
        )
    return Path(path)


def directory(
    path: str | os.PathLike[str],
    mixer: str | None = None,
    where: Mapping[str, Any] | None = None,
    plugins: Sequence[str] = (),
) -> Path:
    """The directory of the run that `load` reads: `path`, or a cell of the study.

    `mixer`, `where` and `plugins` are those of `load`. Raises `BadInput` if they choose
    no cell or several, or are given for a run.
    """
    path = Path(path)
    if (path / layout.STUDY).exists():
        return choose(path, mixer, where or {}, plugins).directory
    if mixer is not None or where:
        raise BadInput(
            f"{path} is not a study: mixer and where choose a cell of a study and "
            "must be left out"
        )
    return path


def runs(
    path: str | os.PathLike[str], plugins: Sequence[str] = ()
) -> tuple[list[Found], list[Damaged | DiskError]]:
    """The run in a directory, or the cells of a study, and what cannot be read of them.

    That is damaged, or the disk refuses it. `path` is the directory, `plugins` are
    those to load for it. Raises `BadInput` if the directory holds neither, or if a
    plugin is missing.
    """
    path = place(path)
    if (path / layout.STUDY).exists():
        described = read_study(path)
        require(described["plugins"], str(path), plugins)
        cells = [(cell["id"], None) for cell in described["cells"]]
    elif (path / layout.CONFIG).exists():
        cells = [(path.name, path)]
    else:
        raise BadInput(
            f"{path} is neither a run nor a study: {layout.CONFIG} and {layout.STUDY} "
            "are missing, one of which must be there"
        )
    found: list[Found] = []
    damaged: list[Damaged | DiskError] = []
    for id, own in cells:
        try:
            run = layout.read_config(own) if own else store.read_cell(path, id)
            require(run.plugins, str(path), plugins)
            found.append(Found(id, own or store.place(path, id), run, fields(run)))
        except (Damaged, OSError) as error:
            damaged.append(unread(own or store.place(path, id), error))
    return found, damaged


def unread(folder: Path, error: Damaged | OSError) -> Damaged | DiskError:
    """The error that stands for a run in `folder` that was not read.

    Raises `error` itself if it says nothing about damage or the disk.
    """
    if isinstance(error, Damaged):
        return error
    _, message = fault(folder, error)
    return DiskError(error.errno, message)


def choose(
    path: Path,
    mixer: str | None,
    where: Mapping[str, Any],
    plugins: Sequence[str] = (),
) -> Found:
    """The one cell of the study in `path` that a mixer and fields of the config choose.

    `mixer`, `where` and `plugins` are those of `load`. Raises `BadInput` if no cell is
    meant, or several, which it tells apart, and `Damaged` if none can be read.
    """
    cells, damaged = runs(path, plugins)
    if not cells:
        raise damaged[0] if damaged else BadInput(f"{path} has no cells")
    names = list(dict.fromkeys(name for cell in cells for name in cell.fields))
    for name in where:
        if name not in names:
            raise unknown(f"field of the cells of {path}", str(name), names)
    matches = cells
    if mixer is not None:
        matches = _with_mixer(cells, mixer)
        if not matches:
            raise unknown(f"mixer of {path}", mixer, {cell.mixer for cell in cells})
    for name, value in where.items():
        values = {_same(cell.fields.get(name)) for cell in matches}
        matches = [c for c in matches if _same(c.fields.get(name)) == _same(value)]
        if not matches:
            raise BadInput(
                f"No cell of {path} has {name}={value}; it must be {_listed(values)}"
            )
    if len(matches) > 1:
        raise BadInput(_told_apart(path, matches))
    return matches[0]


def _told_apart(path: Path, cells: list[Found]) -> str:
    """What must be given beside so that one of these cells is left."""
    apart = varying(cell.fields for cell in cells)
    ways = []
    if PATTERN in apart:
        ways.append(f"mixer ({_listed({cell.mixer for cell in cells})})")
    others = [name for name in apart if name != PATTERN]
    if others:
        fields = [
            f"{name} ({_listed({_same(cell.fields.get(name)) for cell in cells})})"
            for name in others[:SHOWN]
        ]
        ways.append(f"where {', '.join(fields)}")
    if not ways:
        ways.append("the directory of one of them (they differ in their populations)")
    return (
        f"{len(cells)} cells of {path} are meant; one must be chosen by "
        f"{' and '.join(ways)}"
    )


def _with_mixer(cells: list[Found], mixer: str) -> list[Found]:
    """The cells with this pattern; else, if it has names alone, with these names."""
    wanted = pattern.resolve(mixer)
    exact = [cell for cell in cells if pattern.resolve(_pattern(cell)) == wanted]
    if exact or "(" in mixer:
        return exact
    names = _names(mixer)
    return [cell for cell in cells if _names(_pattern(cell)) == names]


def _pattern(cell: Found) -> str:
    return cell.run.config.model.pattern


def _names(text: str) -> list[list[list[str]]]:
    """The names of a pattern's mixers, by layer, stage and side."""
    return [
        [[parse(spec)[0] for spec in split(stage, "|")] for stage in split(layer, "+")]
        for layer in split(text)
    ]


def _same(value: Any) -> str:
    """A value of a field as text in which equal values are equal."""
    if isinstance(value, (list, tuple)):
        return ",".join(map(_same, value))
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    try:
        return f"{float(value):.12g}"
    except (TypeError, ValueError):
        return str(value)


def _listed(values: set[str]) -> str:
    ordered = sorted(values)
    more = [f"{len(ordered) - SHOWN} more"] if len(ordered) > SHOWN else []
    return ", ".join([*ordered[:SHOWN], *more])
