"""Studies side by side, each claim with its verdict, in one self-contained page.

DIR/index.html              the page; needs nothing else and no network
DIR/LEDGER.md               the same as a table, with commands and commits
DIR/NAME.png .svg .csv      a small figure of each study, and its numbers
"""

import html
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from attn_research import store
from attn_research.analysis.statistics import Row
from attn_research.durable import atomic_write
from attn_research.options import BadInput
from attn_research.report import drawings, figures, words
from attn_research.report.figures import Plan
from attn_research.report.saving import inlined, save, template
from attn_research.report.texts import results
from attn_research.study import Finding, Study, findings, verdict

VERDICTS = ("supported", "refuted", "mixed", "undecided")


class Entry(NamedTuple):
    """What the ledger says of a study; `plan` is None where nothing is there yet."""

    name: str
    directory: Path
    claim: str
    source: str
    verdict: str
    findings: list[Finding]
    changed: list[str]
    metric: str
    plan: Plan | None
    cells: str
    members: int
    seconds: float
    command: str
    commit: str


def gather(
    studies: Iterable[tuple[str | os.PathLike[str], Study | None]],
) -> list[Entry]:
    """An entry for each directory and the study that says what is expected of it.

    Raises `BadInput` where two studies of one claim measure it in different units.
    """
    entries: list[Entry] = []
    for directory, study in studies:
        entries.append(_entry(Path(directory), study, {one.name for one in entries}))
    _require_units(entries)
    return entries


def write(folder: str | os.PathLike[str], entries: Sequence[Entry]) -> Path:
    """Writes the ledger; the path of its page, which links to the reports there are."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    shown = [
        {
            "entry": entry,
            "figure": _drawn(folder, entry.plan) if entry.plan else None,
            "report": _link(folder, entry.directory / "report" / "index.html"),
        }
        for entry in entries
    ]
    filters = (words.measured, words.expected, words.decided, words.duration)
    page = template(
        "ledger.html",
        **{one.__name__: one for one in (*filters, words.counted)},
    ).render(shown=shown, counts=_counts(entries), seconds=_seconds(entries))
    atomic_write(folder / "index.html", page)
    atomic_write(folder / "LEDGER.md", _markdown(entries))
    return folder / "index.html"


def _drawn(folder: Path, plan: Plan) -> dict[str, Any]:
    figure = figures.draw(**plan._asdict(), size=figures.SMALL)
    save(folder, figure)
    return inlined(folder, figure)


def _link(folder: Path, page: Path) -> str:
    """The address of a page as seen from a folder, empty where there is no page."""
    return Path(os.path.relpath(page, folder)).as_posix() if page.exists() else ""


def _entry(directory: Path, study: Study | None, taken: set[str]) -> Entry:
    described, states = store.read_study(directory), store.status(directory)
    rows = drawings.prepared(store.rows(directory))
    missing = store.missing(directory, states)
    found = findings(study, rows, len(missing)) if study else []
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
        verdict=verdict(found),
        findings=found,
        changed=words.changed(described["expected"], study) if study else [],
        metric=" and ".join(sorted({row["metric"] for row in rows})),
        plan=_small(name, rows, study.figure if study else ""),
        cells=f"{done} of {words.counted(total, 'cell')}",
        members=len(rows),
        seconds=_spent(states),
        command=" && ".join(described["commands"]) or known,
        commit=_commits([*environments, described.get("software") or {}]),
    )


def _spent(states: Sequence[store.Row]) -> float:
    return sum(state.seconds or 0.0 for state in states)


def _commits(environments: Sequence[Mapping[str, Any]]) -> str:
    """The commits of the finished cells, or of the study where they name none."""
    *cells, study = (str(one.get("commit", "none"))[:12] for one in environments)
    told = [commit for commit in dict.fromkeys(cells) if commit != "none"]
    return ", ".join(told) or study


def _small(name: str, rows: Sequence[Row], wanted: str) -> Plan | None:
    """The first panel of the figure that a study names, or else of one with a line."""
    plans = drawings.plans(rows)
    named = [plan for plan in plans if plan.name == wanted]
    chosen = next(iter([*named, *filter(_has_line, plans), *plans]), None)
    if chosen is None:
        return None
    panels, told = dict(list(chosen.panels.items())[:1]), chosen.caption
    if len(chosen.panels) > 1:
        told += f" The first of {len(chosen.panels)} panels, which the report has."
    return chosen._replace(name=name, caption=told, panels=panels)


def _has_line(plan: Plan) -> bool:
    panels = plan.panels.values()
    return any(len(points) > 1 for panel in panels for points in panel.values())


def _require_units(entries: Sequence[Entry]) -> None:
    """Raises `BadInput` where one claim is measured in two units or by two metrics."""
    first: dict[str, tuple[str, Entry]] = {}
    for entry in entries:
        unit = entry.findings[0].expectation.unit if entry.findings else ""
        told = unit or entry.metric
        if not told:
            continue  # nothing is measured yet
        known, other = first.setdefault(entry.claim, (told, entry))
        if known != told:
            raise BadInput(
                f"{other.directory} measures {entry.claim!r} in {known}, and "
                f"{entry.directory} in {told}; give a ledger studies that agree on it"
            )


def _counts(entries: Sequence[Entry]) -> str:
    """`3 supported, 1 mixed`."""
    found = Counter(entry.verdict for entry in entries)
    return ", ".join(f"{found[word]} {word}" for word in VERDICTS if found[word])


def _seconds(entries: Sequence[Entry]) -> float:
    return sum(entry.seconds for entry in entries)


def _markdown(entries: Sequence[Entry]) -> str:
    """The ledger as a table of Markdown."""
    lines = [
        "# Ledger",
        "",
        f"{words.counted(len(entries), 'claim')}: {_counts(entries)}. In brackets "
        "95 % intervals; a verdict follows from them and from what is expected.",
        "",
        "| claim | verdict | numbers | cost | command | commit |",
        "|---|---|---|---|---|---|",
    ]
    for entry in entries:
        claim = f"{entry.claim} ({entry.source})" if entry.source else entry.claim
        numbers = [
            f"{f.expectation.claim}: {words.measured(f)}, expected "
            f"{words.expected(f)}: {words.decided(f)}"
            for f in entry.findings
        ]
        members = words.counted(entry.members, "member")
        numbers += entry.changed
        cells = (
            html.escape(claim, quote=False),
            entry.verdict,
            "<br>".join(html.escape(one, quote=False) for one in numbers),
            f"{words.duration(entry.seconds)}, {members}",
            f"`{entry.command}`",
            entry.commit,
        )
        lines.append(f"| {' | '.join(map(_one_line, cells))} |")
    return "\n".join(lines) + "\n"


def _one_line(cell: str) -> str:
    """A cell that ends neither itself nor its row."""
    return " ".join(cell.split()).replace("|", "\\|")
