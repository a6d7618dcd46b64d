"""A study's directory as one self-contained page, with its figures and numbers beside.

report/index.html     the page; needs nothing else and no network
report/NAME.png .svg .csv     each figure, and its numbers
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from attn_research import layout, store
from attn_research.analysis import statistics as stats
from attn_research.durable import atomic_write
from attn_research.report.drawings import axes, drawings, prepared
from attn_research.report.kinds import kinds
from attn_research.report.ranking import ranking
from attn_research.report.saving import inlined, save, template
from attn_research.report.series import groups
from attn_research.report.summaries import tables
from attn_research.report.texts import NAMES, results, texts, unread
from attn_research.report.transferred import gained
from attn_research.report.words import between, changed, decided, expected, measured
from attn_research.study import Finding, Study, findings, verdict

Row = dict[str, Any]


class Written(NamedTuple):
    """The path of a page, and what its study found."""

    path: Path
    findings: list[Finding]


def write(directory: str | os.PathLike[str], study: Study | None = None) -> Written:
    """Writes the report of a study.

    `study` gives the expectations; without it the page has no verdict.
    """
    directory = Path(directory)
    described, states = store.read_study(directory), store.status(directory)
    rows = prepared(store.collect(directory))
    missing = store.missing(directory, states)
    found = findings(study, rows, len(missing)) if study else []
    folder = directory / "report"
    folder.mkdir(exist_ok=True)
    drawn = drawings(rows)
    for figure in drawn:
        save(folder, figure)
    cells = _cells(rows)
    finished = results(directory, states)
    page = _template().render(
        study=described,
        verdict=verdict(found),
        findings=found,
        figures=[
            {**inlined(folder, figure), "tables": tables(figure, rows)}
            for figure in drawn
        ],
        done=sum(state.state == "done" for state in states),
        total=len({*described["asked"], *(state.id for state in states)}),
        missing=len(missing),
        changed=changed(described["expected"], study) if study else [],
        ranking=ranking(rows) if rows else [],
        gained=gained(rows),
        cells=cells or [{"cell": s.id, "state": s.state} for s in states],
        columns=list(dict.fromkeys(name for cell in cells for name in cell))
        or ["cell", "state"],
        kinds=kinds(rows),
        failures=[_failure(directory, s) for s in states if s.state != "done"],
        diverged=[row for row in rows if row["status"] == "diverged"],
        texts=texts(finished, rows),
        unread=unread(finished, rows),
        environment=_environment(finished),
    )
    atomic_write(folder / "index.html", page)
    return Written(folder / "index.html", found)


def headlines(found: Sequence[Finding]) -> list[str]:
    """One line per expectation: what was measured beside what was expected."""
    words = {True: "holds", False: "does not hold", None: "undecided"}
    return [
        f"{f.expectation.claim}: {measured(f)} (expected {expected(f)}): "
        f"{words[f.holds]}"
        for f in found
    ]


def _cells(rows: Sequence[Row]) -> list[Row]:
    """One row per finished cell, at its best learning rate."""
    cells = []
    names, scores = (axes(rows), _scores(rows)) if rows else ([], [])
    for id, members in groups(rows, lambda row: row["cell"]).items():
        best = stats.at_best_rate(members)
        trained = stats.trained(best)
        value = stats.bootstrap([stats.headline(row) for row in trained])
        first = members[0]
        statuses = groups(members, lambda row: row["status"])
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


def _scores(rows: Sequence[Row]) -> list[str]:
    """What is measured beside the headline and the loss."""
    names = {name: None for row in rows for name in row if name.startswith("test.")}
    known = [name.removeprefix("test.") for name in names]
    headlines = {row["metric"] for row in rows}
    return [name for name in known if name not in ("loss", *headlines)]


def _mean(rows: Sequence[stats.Row], name: str) -> float | None:
    """The mean over seeds of a metric, None where there is none."""
    values = [row[name] for row in rows if row.get(name) is not None]
    return sum(values) / len(values) if values else None


def _failure(directory: Path, row: store.Row) -> Row:
    error = None
    if row.state in ("failed", "stopped"):
        error = layout.read_error(store.place(directory, row.id))
    note = f"{error['kind']}: {error['message']}" if error else ""
    return {"id": row.id, "state": row.state, "note": note}


def _environment(finished: Mapping[str, Row]) -> dict[str, Any]:
    """The environment of the first finished cell."""
    return next((dict(one["environment"]) for one in finished.values()), {})


def _template() -> Any:
    filters = {"expected": expected, "measured": measured, "decided": decided}
    return template("page.html", **filters)
