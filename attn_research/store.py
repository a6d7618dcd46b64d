"""The directory of a study: its cells, what state they are in, what they found.

    study.json             the question, every cell, the code's version, the commands
    cells/<id>/            the directory of one run (see `layout`), named by the hash
                           of its config and population
    results.csv            one row per member of every finished cell

Everything but study.json and the cells can be rebuilt from them.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from attn_research import environment, layout
from attn_research.config import content_hash, to_dict
from attn_research.durable import (
    Damaged,
    atomic_write,
    check_name,
    read_journal,
    read_json,
    write_json,
)
from attn_research.layout import CELLS, STUDY
from attn_research.lock import Lock, owner
from attn_research.options import BadInput
from attn_research.results import Rows, as_csv, fields, member_rows, varying
from attn_research.study import Cell, Study, predictions

State = Literal["done", "running", "failed", "waiting", "stopped", "damaged"]


class Store(NamedTuple):
    """A study's directory and the ids of the cells asked for, in order."""

    directory: Path
    ids: list[str]


class Row(NamedTuple):
    """What is known of one cell; `best` is of the headline `metric`, None so far."""

    id: str
    state: State
    varies: dict[str, Any]
    members: int
    step: int
    best: float | None
    metric: str
    seconds: float | None
    message: str


def place(directory: str | os.PathLike[str], id: str) -> Path:
    """The directory of a cell."""
    return Path(directory) / CELLS / check_name(id, "The id of a cell")


def open_study(
    directory: str | os.PathLike[str],
    study: Study,
    cells: Sequence[Cell],
    *,
    asked: Sequence[Cell] | None = None,
    command: str = "",
    size: str = "quick",
) -> Store:
    """The study's directory, made or extended by `cells`.

    `cells` may be a share of those `asked` for, which all must end before a verdict;
    `command` is kept as the one that repeats it, and `size` is the size of the study in
    its experiment. Cells that are there already keep what they have. Raises `BadInput`
    where the directory belongs to another study.
    """
    directory = Path(directory)
    check_name(study.name, "The name of a study")
    if directory.exists() and not directory.is_dir():
        raise BadInput(f"{directory} is a file; a directory is allowed")
    with Lock(directory, patience=30.0):
        known: dict[str, Any] = {}
        wanted: list[str] = []
        commands = [command] if command else []
        predicted = predictions(study)
        if (directory / STUDY).exists():
            found = read_study(directory)
            if (found["name"], found["question"]) != (study.name, study.question):
                raise BadInput(
                    f"{directory} was written by the study {found['name']!r} "
                    f"({found['question']}); give {study.name!r} another directory"
                )
            known = {cell["id"]: cell for cell in found["cells"]}
            wanted = found["asked"]
            commands = [*found["commands"], *commands]
            predicted = found["expected"]  # what was, before anything ran
        for cell in cells:
            parts = {
                "config": to_dict(cell.config),
                "population": to_dict(cell.population),
            }
            known.setdefault(cell.id, {"id": cell.id, **parts})
            folder = place(directory, cell.id)
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / layout.CONFIG).exists():
                layout.write_config(folder, cell.config, cell.population)
        described = {
            "name": study.name,
            "size": size,
            "question": study.question,
            "claim": study.claim,
            "source": study.source,
            "confounds": list(study.confounds),
            "expected": predicted,
            "base": to_dict(study.base),
            "axes": {name: list(values) for name, values in study.axes.items()},
            "population": to_dict(study.population),
            "software": environment.software(),
            "commands": list(dict.fromkeys(commands)),
            "asked": list(dict.fromkeys([*wanted, *(c.id for c in asked or cells)])),
            "cells": list(known.values()),
        }
        write_json(directory / STUDY, described)
    return Store(directory, list(dict.fromkeys(cell.id for cell in cells)))


def read_study(directory: str | os.PathLike[str]) -> dict[str, Any]:
    """study.json; raises `BadInput` where there is none, `Damaged` where it is.

    What an earlier version did not write is there and empty; it asked for its cells.
    """
    path = Path(directory) / STUDY
    if not path.exists():
        raise BadInput(f"{directory} is no directory of a study (it has no {STUDY})")
    found = read_json(path)
    for name, kind in (("name", str), ("question", str), ("cells", list)):
        if not isinstance(found.get(name), kind):
            raise Damaged(f"{path} is damaged (it has no {name!r})")
    for cell in found["cells"]:
        if not isinstance(cell, dict) or "id" not in cell:
            raise Damaged(f"{path} is damaged (a cell has no 'id')")
        place(directory, str(cell["id"]))
    later = {"claim": "", "source": "", "confounds": [], "expected": [], "commands": []}
    later |= {"size": "quick"}
    found = {**later, "asked": [cell["id"] for cell in found["cells"]], **found}
    for name in ("confounds", "expected", "commands", "asked"):
        if not isinstance(found[name], list):
            raise Damaged(f"{path} is damaged (its {name!r} is no list)")
    if not isinstance(found["size"], str):
        raise Damaged(f"{path} is damaged (its 'size' is no text)")
    return found


def read_cell(directory: str | os.PathLike[str], id: str) -> layout.Run:
    """What runs in a cell; raises `Damaged` where it is not what its id says."""
    path = place(directory, id) / layout.CONFIG
    run, raw = layout.read_config(path.parent), read_json(path)
    if content_hash(raw["config"], raw["population"]) != id:
        raise Damaged(f"{path} is damaged (its content is not that of the cell)")
    return run


def state(directory: str | os.PathLike[str], id: str) -> tuple[State, str]:
    """The state of a cell, and one sentence where it failed or is damaged."""
    folder = place(directory, id)
    try:
        read_cell(directory, id)
        if layout.read_result(folder) is not None:
            return "done", ""
        holder = owner(folder / layout.CHECKPOINTS)
        if holder is not None:
            return "running", f"process {holder.get('pid')} on {holder.get('host')}"
        error = layout.read_error(folder)
    except Damaged as damage:
        return "damaged", str(damage)
    if error is not None and error["kind"] != "killed":
        return "failed", f"{error['kind']}: {error['message']}"
    started = (folder / layout.CHECKPOINTS).exists() or error is not None
    return ("stopped" if started else "waiting"), ""


def _runs(directory: Path, ids: Iterable[str]) -> dict[str, layout.Run]:
    runs = {}
    for id in ids:
        try:
            runs[id] = read_cell(directory, id)
        except Damaged:
            continue  # told by `state`, cell by cell
    return runs


def status(directory: str | os.PathLike[str]) -> list[Row]:
    """One row for every cell of the study; only looks."""
    directory = Path(directory)
    ids = [cell["id"] for cell in read_study(directory)["cells"]]
    runs = _runs(directory, ids)
    names = varying(fields(run) for run in runs.values())
    return [_row(directory, id, runs.get(id), names) for id in ids]


def missing(directory: str | os.PathLike[str], rows: Sequence[Row]) -> list[str]:
    """The cells that were asked for and by their status have not ended, in order."""
    ended = {row.id for row in rows if row.state in ("done", "failed")}
    return [id for id in read_study(directory)["asked"] if id not in ended]


def _row(directory: Path, id: str, run: layout.Run | None, names: list[str]) -> Row:
    now, message = state(directory, id)
    varies = {n: fields(run).get(n) for n in names} if run else {}
    members = layout.members(run.population) if run else 0
    row = Row(id, now, varies, members, 0, None, "", None, message)
    if now == "done":
        return _finished(row, layout.read_result(place(directory, id)) or {})
    try:
        records = read_journal(place(directory, id) / layout.METRICS)
    except Damaged as damage:
        return row._replace(state="damaged", message=str(damage))
    step = max((int(record.get("step", 0)) for record in records), default=0)
    return row._replace(step=step)


def _finished(row: Row, result: dict[str, Any]) -> Row:
    metric, goal = result.get("metric", ""), result.get("goal", "max")
    values = [
        member["validation"][metric]
        for member in result["members"]
        if (member.get("validation") or {}).get(metric) is not None
    ]
    finite = [value for value in values if value == value]
    best = (max if goal == "max" else min)(finite, default=None)
    step = max(member["step"] for member in result["members"])
    return row._replace(
        step=step, best=best, metric=metric, seconds=result.get("seconds")
    )


# --- results -------------------------------------------------------------------------


def rows(
    directory: str | os.PathLike[str], report: Callable[[str], None] = print
) -> Rows:
    """One row per member of every finished cell, see `results`; only looks.

    A cell whose files are damaged is left out, and told to `report` in one sentence.
    """
    directory = Path(directory)
    found: Rows = []
    for cell in read_study(directory)["cells"]:
        try:
            run = read_cell(directory, cell["id"])
            folder = place(directory, cell["id"])
            result = layout.read_result(folder)
            if result is not None:
                journal = _journal(folder, report)
                own = member_rows(cell["id"], run, result, journal)
                found += [{**row, "directory": str(folder)} for row in own]
        except Damaged as damage:
            report(str(damage))
    return found


def _journal(folder: Path, report: Callable[[str], None]) -> list[dict[str, Any]]:
    """The evaluations of a finished cell, none where they are damaged: it stays one."""
    try:
        return read_journal(folder / layout.METRICS)
    except Damaged as damage:
        report(str(damage))
        return []


def collect(
    directory: str | os.PathLike[str], report: Callable[[str], None] = print
) -> Rows:
    """The rows of the study, also written to results.csv as a whole."""
    found = rows(directory, report)
    atomic_write(Path(directory) / "results.csv", as_csv(found))
    return found
