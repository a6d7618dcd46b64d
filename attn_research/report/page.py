"""A study's directory as one self-contained page, with its figures and numbers beside.

report/index.html     the page; needs nothing else and no network
report/NAME.png .svg .csv     each figure, and its numbers
"""

import csv
import io
import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attn_research import layout, store
from attn_research.analysis import statistics as stats
from attn_research.durable import atomic_write
from attn_research.modules import models
from attn_research.report import figures
from attn_research.report.figures import Figure, draw
from attn_research.results import safe
from attn_research.study import Finding, Study, findings, verdict

Row = dict[str, Any]
COST_AXES = ("state_bytes", "flops", "step_seconds")


def write(directory: str | os.PathLike[str], study: Study | None = None) -> Path:
    """Writes the report of a study and returns the path of its page.

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
    page = _template().render(
        study=described,
        verdict=verdict(found),
        findings=found,
        figures=[_inlined(folder, figure, rows) for figure in drawn],
        done=sum(state.state == "done" for state in states),
        cells=cells or [{"cell": s.id, "state": s.state} for s in states],
        columns=list(cells[0]) if cells else ["cell", "state"],
        failures=[_failure(directory, s) for s in states if s.state != "done"],
        diverged=[row for row in rows if row["status"] == "diverged"],
        environment=_environment(directory, states),
    )
    atomic_write(folder / "index.html", page)
    return folder / "index.html"


def headlines(found: Sequence[Finding]) -> list[str]:
    """One line per expectation: what was measured beside what was expected."""
    words = {True: "holds", False: "does not hold", None: "undecided"}
    return [
        f"{f.expectation.claim}: {number(f.value)} (expected {_range(f)}): "
        f"{words[f.holds]}"
        for f in found
    ]


def _range(found: Finding) -> str:
    low, high = found.expectation.low, found.expectation.high
    if math.isinf(high):
        return f"at least {number(low)}"
    if math.isinf(low):
        return f"at most {number(high)}"
    return f"{number(low)} to {number(high)}"


def prepared(rows: Sequence[Row]) -> list[Row]:
    """The rows with `mixer`, the pattern as a person writes it."""
    return [{**row, "mixer": models.brief(row["model.pattern"])} for row in rows]


def axes(rows: Sequence[Row]) -> list[str]:
    """The config fields that vary between cells, the pattern left out."""
    names = [n for n in rows[0] if n.startswith(("task", "model.", "train."))]
    names = [n for n in names if n != "model.pattern"] if rows else []
    return [n for n in names if len({str(row.get(n)) for row in rows}) > 1]


def drawings(rows: Sequence[Row]) -> list[Figure]:
    """Every figure that these rows can fill."""
    if not rows:
        return []
    metric, varying = rows[0]["metric"], axes(rows)
    numeric = [name for name in varying if _numeric(rows, name)]
    spec_chance = rows[0].get("chance")
    level = spec_chance if metric in ("accuracy", "mse") else None

    def panel(row: Row, without: str = "") -> str:
        shown = [f"{n.split('.')[-1]} {row.get(n)}" for n in varying if n != without]
        return ", ".join(shown)

    made: list[Figure] = []
    for name in numeric:
        short = name.split(".")[-1]
        made.append(
            draw(
                f"quality_{short}",
                f"Quality against {short}",
                f"{figures.unit(metric)} on the test split, mean over seeds.",
                figures.along(rows, name, lambda row, name=name: panel(row, name)),
                name,
                metric,
                level=level,
            )
        )
    for table, x, title in (
        ("by_gap", "gap", "Quality by distance"),
        ("by_position", "position", "Quality by position"),
    ):
        series = figures.distance(rows, table, metric, panel)
        if any(len(points) > 1 for s in series.values() for points in s.values()):
            caption = (
                f"{figures.unit(metric)} on the test split against the "
                f"{figures.unit(x)}, in bins of powers of two."
            )
            made.append(draw(table, title, caption, series, x, metric, level=level))
    if len({row["lr"] for row in rows}) > 1:
        made.append(
            draw(
                "learning_rate",
                "Quality against learning rate",
                "Mean over seeds at each learning rate. The area is the mean height "
                "over the logarithm of the rate: large where a mixer is easy to tune.",
                figures.rates(rows, panel),
                "lr",
                metric,
                level=level,
            )
        )
    for cost in COST_AXES:
        made.append(
            draw(
                f"cost_{cost}",
                f"Quality against {cost.replace('_', ' ')}",
                f"One point per cell: {figures.unit(metric)} against "
                f"{figures.unit(cost)}.",
                figures.against_cost(rows, cost, panel),
                cost,
                metric,
                level=level,
            )
        )
    if "task.length" in numeric:
        for cost in ("step_seconds", "peak_bytes", "state_bytes"):
            made.append(
                draw(
                    f"length_{cost}",
                    f"{cost.replace('_', ' ').capitalize()} against length",
                    f"{figures.unit(cost)}, with the exponent of its growth.",
                    {"": figures.cost_along(rows, "task.length", cost)},
                    "task.length",
                    cost,
                    log_y=True,
                )
            )
    return [figure for figure in made if figure.table]


def _numeric(rows: Sequence[Row], name: str) -> bool:
    try:
        return all(math.isfinite(float(row[name])) for row in rows)
    except (TypeError, ValueError, KeyError):
        return False


def summary(figure: Figure, rows: Sequence[Row]) -> list[Row]:
    """A small table under a figure: areas, or exponents of growth."""
    series: dict[tuple[str, str], list[Row]] = {}
    for point in figure.table:
        series.setdefault((point["panel"], point["series"]), []).append(point)
    told: list[Row] = []
    for (panel, label), points in series.items():
        x, y = list(points[0])[2:4]
        shown = {"panel": panel} if panel else {}
        if figure.name == "learning_rate":
            curve = {p[x]: stats.Interval(p[y], p["low"], p["high"]) for p in points}
            best = max if rows[0]["goal"] == "max" else min
            top = best(points, key=lambda point: point[y])
            told.append(
                {**shown, "mixer": label, "best rate": top[x], "at best rate": top[y],
                 "area": stats.area(curve)}
            )  # fmt: skip
        elif figure.name.startswith("length_"):
            kept = [(p[x], p[y]) for p in points if p[y] > 0]
            slope = stats.exponent(*zip(*kept, strict=True)) if len(kept) > 1 else None
            if slope:
                between = f"{number(slope.low)} to {number(slope.high)}"
                told.append({"mixer": label, "exponent": slope.mean, "95 %": between})
    return told


def _cells(rows: Sequence[Row]) -> list[Row]:
    """One row per finished cell, at its best learning rate."""
    cells = []
    names = axes(rows) if rows else []
    for id, members in figures.groups(rows, lambda row: row["cell"]).items():
        best = stats.at_best_rate(members)
        value = stats.bootstrap([stats.headline(row) for row in stats.trained(best)])
        first = members[0]
        statuses = figures.groups(members, lambda row: row["status"])
        cells.append(
            {
                "cell": id,
                "mixer": first["mixer"],
                **{name: first.get(name) for name in names},
                first["metric"]: value.mean,
                "95 %": f"{number(value.low)} to {number(value.high)}",
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


def _failure(directory: Path, row: store.Row) -> Row:
    error = None
    if row.state in ("failed", "stopped"):
        error = layout.read_error(store.place(directory, row.id))
    note = f"{error['kind']}: {error['message']}" if error else ""
    return {"id": row.id, "state": row.state, "note": note}


def _environment(directory: Path, states: Sequence[store.Row]) -> dict[str, Any]:
    """The environment of the first finished cell."""
    for row in states:
        if row.state == "done":
            result = layout.read_result(store.place(directory, row.id))
            return dict(result["environment"]) if result else {}
    return {}


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
        "summary": summary(figure, rows),
    }


def number(value: Any) -> str:
    """A value as a person reads it; numbers with four digits."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if math.isnan(value):
        return "unknown"
    if math.isinf(value):
        return "any" if value else "0"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def _template() -> Any:
    from jinja2 import Environment, PackageLoader

    engine = Environment(
        loader=PackageLoader("attn_research", "report"), autoescape=True
    )
    engine.filters["figure"] = number
    return engine.get_template("page.html")
