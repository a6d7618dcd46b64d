"""The directory of a study: its cells, the state of each, and their results.

    study.json             the question, every cell, the code's version, the commands
    cells/<id>/            the directory of one run (see `layout`), named by the hash
                           of its config and population
    results.csv            one row per member of every finished cell

Everything else is rebuilt from study.json and the cells.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from attn_research.config import to_dict
from attn_research.host import environment, layout
from attn_research.host.durable import atomic_write, check_name, write_json
from attn_research.host.journal import stream_journal
from attn_research.host.layout import STUDY
from attn_research.host.lock import Lock
from attn_research.options import BadInput
from attn_research.studies.described import Described, read_study
from attn_research.studies.readers import (
    FAULTS,
    Seen,
    State,
    fault,
    last_evaluations,
    place,
    read_cell,
    see,
)
from attn_research.studies.results import Rows, as_csv, fields, member_rows, varying
from attn_research.studies.study import Cell, Study, budget, conditions, predictions

SHORT = 10**6  # bytes of a log that a look at the study reads


class Store(NamedTuple):
    """A study's directory and the ids of the cells asked for, in order."""

    directory: Path
    ids: list[str]


class CellState(NamedTuple):
    """How far a cell is; `best` is its best headline `metric`, None until it is done.

    `step` is that of the newest checkpoint, from which a stopped cell goes on. `varies`
    holds the config fields that differ between the cells of the study.
    """

    id: str
    state: State
    varies: dict[str, Any]
    members: int
    step: int
    best: float | None
    metric: str
    seconds: float | None
    message: str


def open_study(
    directory: str | os.PathLike[str],
    study: Study,
    cells: Sequence[Cell],
    *,
    asked: Sequence[Cell] | None = None,
    command: str = "",
    size: str = "quick",
    allow_inexact_resume: bool = False,
) -> Store:
    """The study's directory, created or extended by `cells`.

    `cells` may be a share of the cells `asked` for, all of which must end before there
    is a verdict. `command` is stored as the one that repeats the sweep, `size` as the
    size of the study in its experiment. Existing cells stay as they are. Raises
    `BadInput` if the directory belongs to another study: one of another name, or one
    that asks another question about other cells, or if a plugin of its cells has
    changed since they began, unless `allow_inexact_resume`.
    """
    from attn_research.training.program import plugged

    directory, asked = Path(directory), asked or cells
    check_name(study.name, "The name of a study")
    if directory.exists() and not directory.is_dir():
        raise BadInput(f"{directory} is a file; it must be a directory")
    with Lock(directory, patience=30.0):
        known: dict[str, Any] = {}
        before: list[str] = []
        commands = [command] if command else []
        expected, gates = predictions(study), conditions(study)
        grid = registered = budget(study)
        needed = {cell.id: plugged(cell.config) for cell in cells}
        plugins = {name: one for each in needed.values() for name, one in each.items()}
        if (directory / STUDY).exists():
            stored = read_study(directory)
            _check_same(directory, stored, study, asked)
            known = {cell["id"]: cell for cell in stored["cells"]}
            before = stored["asked"]
            commands = [*stored["commands"], *commands]
            # As stated before anything ran.
            expected, gates = stored["expected"], stored["gates"]
            registered = stored["registered"]
            if not allow_inexact_resume:
                _check_plugins(directory, stored["plugins"], plugins)
            plugins = {**stored["plugins"], **plugins}
        for cell in cells:
            parts = {
                "config": to_dict(cell.config),
                "population": to_dict(cell.population),
            }
            known.setdefault(cell.id, {"id": cell.id, **parts})
            folder = place(directory, cell.id)
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / layout.CONFIG).exists():
                own = needed[cell.id]
                layout.write_config(folder, cell.config, cell.population, plugins=own)
        described = {
            "name": study.name,
            "size": size,
            "question": study.question,
            "claim": study.claim,
            "source": study.source,
            "confounds": list(study.confounds),
            "expected": expected,
            "gates": gates,
            **grid,
            "registered": registered,
            "software": environment.software(),
            "commands": list(dict.fromkeys(commands)),
            "asked": list(dict.fromkeys([*before, *(cell.id for cell in asked)])),
            "cells": list(known.values()),
        }
        if plugins:
            described["plugins"] = plugins
        write_json(directory / STUDY, described)
    return Store(directory, list(dict.fromkeys(cell.id for cell in cells)))


def _check_same(
    directory: Path, stored: Described, study: Study, asked: Sequence[Cell]
) -> None:
    """Raises `BadInput` if the directory belongs to another study.

    A study whose question is reworded is known by the cells they share.
    """
    shared = {cell.id for cell in asked} & {*stored["asked"]}
    same = stored["question"] == study.question or shared
    if stored["name"] != study.name or not same:
        raise BadInput(
            f"{directory} was written by the study {stored['name']!r} "
            f"({stored['question']}); that of {study.name!r} must be another one"
        )


def _check_plugins(
    directory: Path, before: Mapping[str, Any], now: Mapping[str, Any]
) -> None:
    """Raises `BadInput` if a plugin is not the one that the study began with."""
    for name in before.keys() & now.keys():
        if before[name]["digest"] != now[name]["digest"]:
            raise BadInput(
                f"The plugin {name} has changed since the study in {directory} began; "
                "it must be the same, --out another directory, or the sweep with "
                "--allow_inexact_resume"
            )


def state(directory: str | os.PathLike[str], id: str) -> tuple[State, str]:
    """The state of a cell, and one sentence on why it failed, runs or is not read."""
    seen = see(directory, id)
    return seen.state, seen.message


def status(
    directory: str | os.PathLike[str], described: Described | None = None
) -> list[CellState]:
    """The state of every cell of the study; writes nothing.

    `described` is what `read_study` returns, for a caller that has it already.
    """
    directory = Path(directory)
    described = described or read_study(directory)
    cells = [
        _cell_state(directory, see(directory, c["id"])) for c in described["cells"]
    ]
    names = varying(cell.varies for cell in cells if cell.varies)
    return [
        cell._replace(varies={name: cell.varies.get(name) for name in names})
        if cell.varies
        else cell
        for cell in cells
    ]


def missing(described: Described, states: Sequence[CellState]) -> list[str]:
    """The ids of the cells that were asked for and have not ended, in order."""
    ended = {cell.id for cell in states if cell.state in ("done", "failed")}
    return [id for id in described["asked"] if id not in ended]


def _cell_state(directory: Path, seen: Seen) -> CellState:
    """The state of a cell with all of its config, before it is known what varies."""
    folder = place(directory, seen.id)
    varies = fields(seen.run) if seen.run else {}
    members = seen.run.population.size if seen.run else 0
    cell = CellState(
        seen.id, seen.state, varies, members, 0, None, "", None, seen.message
    )
    try:
        if seen.result is not None:
            return _finished(cell, seen.result)
        if _size(folder / layout.METRICS) < SHORT:  # else when the run goes on
            for _ in stream_journal(folder / layout.METRICS):
                pass
        return cell._replace(step=layout.saved(folder))
    except FAULTS as error:
        state, message = fault(folder, error)
        return cell._replace(state=state, message=message)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _finished(cell: CellState, result: dict[str, Any]) -> CellState:
    metric, goal = result.get("metric", ""), result.get("goal", "max")
    values = [
        member["validation"][metric]
        for member in result["members"]
        if (member.get("validation") or {}).get(metric) is not None
    ]
    finite = [value for value in values if value == value]
    best = (max if goal == "max" else min)(finite, default=None)
    step = max(member["step"] for member in result["members"])
    return cell._replace(
        step=step, best=best, metric=metric, seconds=result.get("seconds")
    )


# --- results -------------------------------------------------------------------------


def rows(
    directory: str | os.PathLike[str],
    report: Callable[[str], None] = print,
    described: Described | None = None,
    unread: Callable[[str], object] = str,
) -> Rows:
    """One row per member of every finished cell (see `results`); writes nothing.

    A cell whose files are damaged, or not read by the disk, is left out and reported in
    one sentence; `unread` is called with the id of one that the disk does not read.
    `described` is what `read_study` returns, for a caller that has it already.
    """
    directory = Path(directory)
    described = described or read_study(directory)
    collected: Rows = []
    for cell in described["cells"]:
        id, folder = cell["id"], place(directory, cell["id"])
        wrong: tuple[State, str] | None = None
        try:
            run = read_cell(directory, id)
            result = layout.read_result(folder)
            if result is not None:
                journal, wrong = last_evaluations(folder, result)
                members = member_rows(id, run, result, journal)
                collected += [{**row, "directory": str(folder)} for row in members]
        except FAULTS as error:
            wrong = fault(folder, error)
        if wrong is not None:
            report(wrong[1])
            if wrong[0] == "unreadable":
                unread(id)
    return collected


def collect(
    directory: str | os.PathLike[str],
    report: Callable[[str], None] = print,
    described: Described | None = None,
    unread: Callable[[str], object] = str,
) -> Rows:
    """The rows of the study, as `rows` returns them; also replaces results.csv."""
    collected = rows(directory, report, described, unread)
    atomic_write(Path(directory) / "results.csv", as_csv(collected))
    return collected
