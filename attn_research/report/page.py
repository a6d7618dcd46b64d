"""A study's directory as one self-contained page, with its figures and numbers.

report/index.html     the page; needs no other file and no network
report/NAME.png .svg .csv     each figure, and its numbers
"""

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from attn_research.analysis import statistics as stats
from attn_research.host import layout
from attn_research.host.durable import atomic_write, clear
from attn_research.report import learning, limits
from attn_research.report.figures import TableRow, draw
from attn_research.report.formatting import (
    between,
    changes,
    decided,
    expected,
    measured,
    remarked,
)
from attn_research.report.gains import transfer_gains
from attn_research.report.groups import group_scores
from attn_research.report.plans import axes, of_rows, prepare
from attn_research.report.ranking import ranking
from attn_research.report.samples import NAMES, reading_notes, results, written_samples
from attn_research.report.saving import inline, save, template
from attn_research.report.series import group_by
from attn_research.report.setup import setup
from attn_research.report.tables import tables
from attn_research.studies import scale, store
from attn_research.studies.judging import Judgement, judge
from attn_research.studies.study import Study


class Written(NamedTuple):
    """The path of a page, what its study found, and the cells it could not read.

    `unreadable` has the ids of cells of which the disk refuses a file.
    """

    path: Path
    judged: Judgement
    unreadable: frozenset[str] = frozenset()


def write(directory: str | os.PathLike[str], study: Study | None = None) -> Written:
    """Writes the report of a study; returns its path and findings.

    `study` states the expectations; without it the page has no verdict.
    """
    directory = Path(directory)
    described = store.read_study(directory)
    states = store.status(directory, described)
    unread = {state.id for state in states if state.state == "unreadable"}
    rows = prepare(store.collect(directory, print, described, unread.add))
    missing = store.missing(described, states)
    named = scale.as_named(study, rows) if study else []
    judged = judge(study, named, len(missing))
    folder = directory / "report"
    folder.mkdir(exist_ok=True)
    clear(folder)
    curves = [draw(plan) for plan in learning.plans(rows)]
    figures = [draw(plan) for plan in of_rows(rows)]
    for figure in [*curves, *figures]:
        save(folder, figure)
    cells = _cells(rows)
    finished = results(directory, states)
    shown = partial(limits.table, folder)
    page = _template().render(
        study=described,
        setup=setup(described, rows),
        judged=judged,
        findings=judged.findings,
        curves=[inline(folder, figure) for figure in curves],
        figures=[
            {
                **inline(folder, figure),
                "tables": [
                    shown(f"{figure.name}_{number}", lines)
                    for number, lines in enumerate(tables(figure, rows), 1)
                ],
            }
            for figure in figures
        ],
        done=sum(state.state == "done" for state in states),
        total=len({*described["asked"], *(state.id for state in states)}),
        missing=len(missing),
        changed=changes(described, study) if study else [],
        ranking=shown("ranking", ranking(rows) if rows else []),
        gains=shown("gains", transfer_gains(rows)),
        cells=shown("cells", cells or _waiting(states)),
        columns=list(dict.fromkeys(name for cell in cells for name in cell))
        or ["cell", "state"],
        groups=shown("groups", group_scores(rows)),
        failures=shown(
            "failures", [_failure(directory, s) for s in states if s.state != "done"]
        ),
        diverged=shown("diverged", [_diverged(row) for row in rows if _ended_so(row)]),
        samples=written_samples(finished, rows),
        written=sum(bool(result.get("decoded")) for result in finished.values()),
        notes=reading_notes(finished, rows),
        environment=_environment(finished),
    )
    atomic_write(folder / "index.html", page)
    return Written(folder / "index.html", judged, frozenset(unread))


def headlines(judged: Judgement) -> list[str]:
    """One line per gate and expectation: what was measured, expected, and decided."""
    words = {"yes": "holds", "no": "does not hold"}
    lines = []
    for what, found in [
        *(("Gate: ", gate) for gate in judged.gates),
        *(("", finding) for finding in judged.findings),
    ]:
        said, remark = decided(found), remarked(found)
        line = f"{what}{found.expectation.claim}: {measured(found)} "
        line += f"(expected {expected(found)}): {words.get(said, said)}"
        lines.append(f"{line}. {remark}" if remark else line)
    return lines


def _cells(rows: Sequence[stats.Row]) -> list[TableRow]:
    """One row per finished cell, at its best learning rate."""
    cells = []
    names, scores = (axes(rows), _scores(rows)) if rows else ([], [])
    for id, members in group_by(rows, lambda row: row["cell"]).items():
        best = stats.at_best_rate(members)
        trained = stats.trained(best)
        value = stats.mean_interval([stats.headline(row) for row in trained])
        first = members[0]
        statuses = group_by(members, lambda row: row["status"])
        cells.append(
            {
                "cell": id,
                "mixer": first["mixer"],
                **{name: first.get(name) for name in names},
                first["metric"]: value.mean,
                "95 %": between(value),
                **{NAMES.get(n, n): _mean(trained, f"test.{n}") for n in scores},
                "best rate": best[0]["lr"],
                "members": ", ".join(
                    f"{len(m)} {word}" for word, m in statuses.items()
                ),
                "steps": max(row["step"] for row in members),
                "parameters": first["parameters"],
                "state bytes": first["state_bytes"],
                "FLOPs": first["flops"],
                "peak bytes": first["peak_bytes"],
                "seconds": first["seconds"],
                "compile s": first["compile_seconds"],
            }
        )
    return cells


def _scores(rows: Sequence[stats.Row]) -> list[str]:
    """The metrics of the test split besides the headline and the loss."""
    names = {name: None for row in rows for name in row if name.startswith("test.")}
    known = [name.removeprefix("test.") for name in names]
    headlines = {row["metric"] for row in rows}
    return [name for name in known if name not in ("loss", *headlines)]


def _mean(rows: Sequence[stats.Row], name: str) -> float | None:
    """The mean over seeds of a metric, None without any."""
    values = [row[name] for row in rows if row.get(name) is not None]
    return sum(values) / len(values) if values else None


def _failure(directory: Path, row: store.CellState) -> TableRow:
    """Why a cell has no result: what it failed of, what is damaged, what stopped it."""
    note = row.message
    if row.state == "stopped":
        error = layout.read_error(store.place(directory, row.id))
        note = f"{error['kind']}: {error['message']}" if error else ""
    return {"id": row.id, "state": row.state, "note": note}


def _ended_so(row: stats.Row) -> bool:
    return row["status"] == "diverged"


def _diverged(row: stats.Row) -> TableRow:
    """What is said of a member that diverged."""
    names = ("cell", "mixer", "member", "seed", "lr", "step")
    return {name: row[name] for name in names}


def _waiting(states: Sequence[store.CellState]) -> list[TableRow]:
    return [{"cell": state.id, "state": state.state} for state in states]


def _environment(finished: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """The environment of the first finished cell."""
    return next((dict(result["environment"]) for result in finished.values()), {})


def _template() -> Any:
    filters = {one.__name__: one for one in (expected, measured, decided, remarked)}
    return template("page.html", **filters)
