"""A study's directory as one self-contained page, with its figures and numbers beside.

report/index.html     the page; needs nothing else and no network
report/NAME.png .svg .csv     each figure, and its numbers
"""

import csv
import io
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from attn_research import layout, store
from attn_research.analysis import statistics as stats
from attn_research.durable import atomic_write
from attn_research.report import figures
from attn_research.report.drawings import axes, drawings, prepared, summary
from attn_research.report.figures import Figure
from attn_research.report.texts import NAMES, results, texts, unread
from attn_research.report.words import between, number
from attn_research.results import safe
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
    found = findings(study, rows) if study else []
    folder = directory / "report"
    folder.mkdir(exist_ok=True)
    drawn = drawings(rows)
    for figure in drawn:
        _save(folder, figure)
    cells = _cells(rows)
    finished = results(directory, states)
    page = _template().render(
        study=described,
        verdict=verdict(found),
        findings=found,
        figures=[_inlined(folder, figure, rows) for figure in drawn],
        done=sum(state.state == "done" for state in states),
        total=len(states),
        cells=cells or [{"cell": s.id, "state": s.state} for s in states],
        columns=list(cells[0]) if cells else ["cell", "state"],
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
        f"{f.expectation.claim}: {number(f.value)} (expected {expected(f)}): "
        f"{words[f.holds]}"
        for f in found
    ]


def expected(found: Finding) -> str:
    """The interval where an expectation holds, in words."""
    low, high = found.expectation.low, found.expectation.high
    if math.isinf(high):
        return f"at least {number(low)}"
    if math.isinf(low):
        return f"at most {number(high)}"
    return f"{number(low)} to {number(high)}"


def _cells(rows: Sequence[Row]) -> list[Row]:
    """One row per finished cell, at its best learning rate."""
    cells = []
    names, scores = (axes(rows), _scores(rows)) if rows else ([], [])
    for id, members in figures.groups(rows, lambda row: row["cell"]).items():
        best = stats.at_best_rate(members)
        trained = stats.trained(best)
        value = stats.bootstrap([stats.headline(row) for row in trained])
        first = members[0]
        statuses = figures.groups(members, lambda row: row["status"])
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
    return [name for name in known if name not in ("loss", rows[0]["metric"])]


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


def _save(folder: Path, figure: Figure) -> None:
    for kind in ("png", "svg"):
        content = io.BytesIO()
        figure.drawing.savefig(content, format=kind, dpi=160, metadata=_still(kind))
        atomic_write(folder / f"{figure.name}.{kind}", content.getvalue())
    text = io.StringIO()
    writer = csv.DictWriter(text, list(figure.table[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({k: safe(v) for k, v in row.items()} for row in figure.table)
    atomic_write(folder / f"{figure.name}.csv", text.getvalue())


def _still(kind: str) -> dict[str, Any]:
    """Metadata without the date, so that the same numbers give the same file."""
    return {"Date": None} if kind == "svg" else {}


def _inlined(folder: Path, figure: Figure, rows: Sequence[Row]) -> dict[str, Any]:
    from markupsafe import Markup

    svg = (folder / f"{figure.name}.svg").read_text()
    svg = svg[svg.index("<svg") :]
    # Ids must differ between the figures of one page.
    svg = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{figure.name}-", svg)
    return {
        "name": figure.name,
        "title": figure.title,
        "caption": figure.caption,
        "svg": Markup(svg),
        "wide": figure.drawing.get_figwidth() > 5,
        "summary": summary(figure, rows),
    }


def _template() -> Any:
    from jinja2 import Environment, PackageLoader

    engine = Environment(
        loader=PackageLoader("attn_research", "report"), autoescape=True
    )
    engine.filters |= {"figure": number, "expected": expected}
    return engine.get_template("page.html")
