"""Several studies on one self-contained page, each claim with its verdict.

DIR/index.html              the page; needs no other file and no network
DIR/LEDGER.md               the same as a table, with commands and commits
DIR/NAME.png .svg .csv      a small figure of each study, and its numbers
"""

import html
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from attn_research.analysis.statistics import Row
from attn_research.host.durable import atomic_write, clear
from attn_research.host.progress import duration
from attn_research.options import BadInput
from attn_research.report import figures, formatting, plans
from attn_research.report.figures import Plan
from attn_research.report.samples import results
from attn_research.report.saving import inline, save, template
from attn_research.report.scope import scope
from attn_research.studies import scale, store
from attn_research.studies.judging import VERDICTS, Finding, Judgement, judge
from attn_research.studies.study import Study


class Entry(NamedTuple):
    """One study in the ledger; `plan` is None until a cell has finished."""

    name: str
    directory: Path
    claim: str
    source: str
    judged: Judgement
    changed: list[str]
    metric: str
    plan: Plan | None
    cells: str
    members: int
    scope: str
    seconds: float
    command: str
    commit: str


def gather(
    studies: Iterable[tuple[str | os.PathLike[str], Study | None]],
) -> list[Entry]:
    """An entry for each directory and the study that states its expectations.

    Raises `BadInput` if two studies of one claim measure it in different units.
    """
    entries: list[Entry] = []
    for directory, study in studies:
        names = {entry.name for entry in entries}
        entries.append(_entry(Path(directory), study, names))
    _require_units(entries)
    return entries


def write(folder: str | os.PathLike[str], entries: Sequence[Entry]) -> Path:
    """Writes the ledger; returns the path of its page, which links to the reports."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    clear(folder)
    parts = [
        {
            "entry": entry,
            "figure": _draw(folder, entry.plan) if entry.plan else None,
            "report": _link(folder, entry.directory / "report" / "index.html"),
        }
        for entry in entries
    ]
    filters = (
        formatting.measured,
        formatting.expected,
        formatting.decided,
        formatting.remarked,
        duration,
        formatting.counted,
    )
    page = template(
        "ledger.html", **{function.__name__: function for function in filters}
    ).render(parts=parts, counts=_counts(entries), seconds=_seconds(entries))
    atomic_write(folder / "index.html", page)
    atomic_write(folder / "LEDGER.md", _markdown(entries))
    return folder / "index.html"


def _draw(folder: Path, plan: Plan) -> dict[str, Any]:
    figure = figures.draw(plan, figures.SMALL)
    save(folder, figure)
    return inline(folder, figure)


def _link(folder: Path, page: Path) -> str:
    """The address of a page relative to a folder, empty if the page does not exist."""
    return Path(os.path.relpath(page, folder)).as_posix() if page.exists() else ""


def _entry(directory: Path, study: Study | None, taken: set[str]) -> Entry:
    described = store.read_study(directory)
    states = store.status(directory, described)
    rows = plans.prepare(store.rows(directory, described=described))
    missing = store.missing(described, states)
    named = scale.as_named(study, rows) if study else []
    name, again = described["name"], 1
    while name in taken:
        again += 1
        name = f"{described['name']}_{again}"
    done = sum(state.state == "done" for state in states)
    total = len({*described["asked"], *(state.id for state in states)})
    environments = [one["environment"] for one in results(directory, states).values()]
    known = f"python scripts/sweep.py --experiment={described['name']}"
    return Entry(
        name=name,
        directory=directory,
        claim=study.claim if study else described["claim"],
        source=study.source if study else described["source"],
        judged=judge(study, named, len(missing)),
        changed=formatting.changes(described, study) if study else [],
        metric=" and ".join(sorted({row["metric"] for row in rows})),
        plan=_small(name, rows, study.figure if study else ""),
        cells=f"{done} of {formatting.counted(total, 'cell')}",
        members=len(rows),
        scope=scope(rows, environments),
        seconds=_spent(states),
        command=" && ".join(described["commands"]) or known,
        commit=_commits([*environments, described.get("software") or {}]),
    )


def _spent(states: Sequence[store.CellState]) -> float:
    return sum(state.seconds or 0.0 for state in states)


def _commits(environments: Sequence[Mapping[str, Any]]) -> str:
    """The commits of the finished cells, or that of the study if they have none."""
    *cells, study = (str(facts.get("commit", "none"))[:12] for facts in environments)
    commits = [commit for commit in dict.fromkeys(cells) if commit != "none"]
    return ", ".join(commits) or study


def _small(name: str, rows: Sequence[Row], wanted: str) -> Plan | None:
    """The first panel of the figure that a study names, else of one with a line."""
    every = plans.of_rows(rows)
    named = [plan for plan in every if plan.name == wanted]
    chosen = next(iter([*named, *filter(_has_line, every), *every]), None)
    if chosen is None:
        return None
    panels, caption = dict(list(chosen.panels.items())[:1]), chosen.caption
    if len(chosen.panels) > 1:
        caption += (
            f" The first of {len(chosen.panels)} panels; the report has them all."
        )
    return chosen._replace(name=name, caption=caption, panels=panels)


def _has_line(plan: Plan) -> bool:
    panels = plan.panels.values()
    return any(len(points) > 1 for panel in panels for points in panel.values())


def _require_units(entries: Sequence[Entry]) -> None:
    """Raises `BadInput` if one claim is measured in two units or by two metrics."""
    first: dict[str, tuple[str, Entry]] = {}
    for entry in entries:
        found = entry.judged.findings
        unit = found[0].expectation.unit if found else ""
        unit = unit or entry.metric
        if not unit:
            continue  # no cell has finished
        known, other = first.setdefault(entry.claim, (unit, entry))
        if known != unit:
            raise BadInput(
                f"{other.directory} measures {entry.claim!r} in {known}, and "
                f"{entry.directory} in {unit}; in one ledger the unit must be the same"
            )


def _counts(entries: Sequence[Entry]) -> str:
    """`3 supported, 1 mixed`."""
    counts = Counter(entry.judged.verdict for entry in entries)
    return ", ".join(f"{counts[word]} {word}" for word in VERDICTS if counts[word])


def _seconds(entries: Sequence[Entry]) -> float:
    return sum(entry.seconds for entry in entries)


def _markdown(entries: Sequence[Entry]) -> str:
    """The ledger as a Markdown table."""
    lines = [
        "# Ledger",
        "",
        f"{formatting.counted(len(entries), 'claim')}: {_counts(entries)}. The "
        "brackets hold 95 % intervals; a verdict compares them with the expectations.",
        "",
        "| claim | verdict | numbers | cost | command | commit |",
        "|---|---|---|---|---|---|",
    ]
    for entry in entries:
        claim = f"{entry.claim} ({entry.source})" if entry.source else entry.claim
        numbers = [
            *(f"Gate: {_measured(gate)}" for gate in entry.judged.gates),
            *map(_measured, entry.judged.findings),
        ]
        members = formatting.counted(entry.members, "member")
        numbers += entry.changed
        cells = (
            html.escape(claim, quote=False),
            entry.judged.verdict,
            "<br>".join(html.escape(line, quote=False) for line in numbers),
            "; ".join(
                filter(None, (f"{duration(entry.seconds)}, {members}", entry.scope))
            ),
            f"`{entry.command}`",
            entry.commit,
        )
        lines.append(f"| {' | '.join(map(_one_line, cells))} |")
    return "\n".join(lines) + "\n"


def _measured(found: Finding) -> str:
    """`claim: value, expected bounds: yes (remark)`."""
    remark = formatting.remarked(found)
    line = f"{found.expectation.claim}: {formatting.measured(found)}, expected "
    line += f"{formatting.expected(found)}: {formatting.decided(found)}"
    return f"{line} ({remark.rstrip('.')})" if remark else line


def _one_line(cell: str) -> str:
    """The text of a cell on one line, with its bars escaped."""
    return " ".join(cell.split()).replace("|", "\\|")
