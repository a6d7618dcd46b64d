"""The inside of trained models as a self-contained page, with figures and numbers.

index.html             the page
NAME.png .svg .csv     each figure, and its numbers
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from attn_research.analysis import cache
from attn_research.analysis.runs import Member
from attn_research.analysis.subject import Subject
from attn_research.config import content_hash
from attn_research.host.durable import atomic_write, clear
from attn_research.host.progress import Steps
from attn_research.modules import pattern
from attn_research.options import BadInput, unknown
from attn_research.report.inside import ANALYSES, Display, draw
from attn_research.report.inside.comparison import compare
from attn_research.report.inside.encoding import decode, encode
from attn_research.report.saving import inline, save, template


class View(NamedTuple):
    """A member of a run, the sequences to look at, and these in words."""

    directory: Path
    member: Member
    subject: Subject
    words: str

    @property
    def facts(self) -> dict[str, Any]:
        """The facts about the model that the page lists."""
        restored = self.member.restored
        return {
            "task": restored.config.task,
            "pattern": restored.config.model.pattern,
            "layers": restored.config.model.layers,
            "width": restored.config.model.width,
            "member": self.member.number,
            "step": restored.step,
            **restored.hypers,
        }

    def show(self, name: str) -> tuple[list[Display], bool]:
        """The displays of an analysis, and whether the run had them cached."""
        member = self.member
        key = {
            "config": content_hash(member.restored.config),
            "params": member.digest,
            "member": member.number,
            "step": member.restored.step,
            "hypers": member.restored.hypers,
            "subject": self.subject.digest,
        }
        return cache.cached(
            cache.folder(self.directory),
            name,
            key,
            lambda: ANALYSES[name].show(self.subject),
            encode,
            decode,
        )


def labels(views: Sequence[View]) -> list[str]:
    """A label for each view: its mixers, and the run if two have the same mixers.

    Several members or steps of one run are labelled by these.
    """
    briefs = [_brief(view) for view in views]
    paths = {view.directory: view.directory.resolve().name for view in views}
    names = list(paths.values())
    # Directories with the same name are labelled by their paths.
    runs = [
        str(view.directory) if names.count(paths[view.directory]) > 1
        else paths[view.directory]
        for view in views
    ]  # fmt: skip
    all_labels = []
    for view, brief, run in zip(views, briefs, runs, strict=True):
        others = [
            other
            for other, other_brief in zip(views, briefs, strict=True)
            if other_brief == brief and other is not view
        ]
        here = [other.member for other in others if other.directory == view.directory]
        parts = [run] if len(here) < len(others) else []
        if any(member.number != view.member.number for member in here):
            parts.append(f"member {view.member.number}")
        if any(member.restored.step != view.member.restored.step for member in here):
            parts.append(f"step {view.member.restored.step}")
        all_labels.append(f"{brief} ({', '.join(parts)})" if parts else brief)
    return all_labels


def _brief(view: View) -> str:
    return pattern.brief(view.member.restored.config.model.pattern)


def check(names: Iterable[str]) -> None:
    """Raises `BadInput` for a name of no analysis."""
    for analysis in names:
        if analysis not in ANALYSES:
            raise unknown("analysis", analysis, ANALYSES)


def write(
    folder: str | os.PathLike[str],
    views: Sequence[View],
    names: Sequence[str],
    name: str = "analysis",
) -> Path:
    """Writes the page of one run, or of several compared in every figure.

    An analysis that does not apply to a model says so on the page; if it is the only
    one, or unknown, `BadInput` is raised.
    """
    check(names)
    folder = Path(folder)
    by_label = dict(zip(labels(views), views, strict=True))
    only = len(names) == 1
    with Steps(name, len(names) * len(views)) as steps:
        parts = [_part(folder, analysis, by_label, steps, only) for analysis in names]
    page = template("inside.html").render(
        title=", ".join(dict.fromkeys(map(_brief, views))),
        runs=[
            {
                "label": label,
                "name": view.directory.resolve().name,
                "words": view.words,
                "notes": view.member.notes,
                "facts": view.facts,
            }
            for label, view in by_label.items()
        ],
        parts=parts,
    )
    atomic_write(folder / "index.html", page)
    return folder / "index.html"


def _part(
    folder: Path, name: str, views: dict[str, View], steps: Steps, only: bool
) -> dict[str, Any]:
    """One analysis of every run as the page shows it; saves its figures."""
    by_run: dict[str, list[Display]] = {}
    refused: list[str] = []
    for label, view in views.items():
        step = name if len(views) == 1 else f"{name} of {label}"
        steps.begin(step)
        note = ""
        try:
            by_run[label], cached = view.show(name)
            note = "cached" if cached else ""
        except BadInput as error:
            if only and len(views) == 1:
                raise
            note = "does not apply"
            refused.append(str(error))
        steps.end(step, note)
    if only and not by_run:
        raise BadInput("; ".join(dict.fromkeys(refused)))
    displays = [display for some in by_run.values() for display in some]
    if len(views) > 1:
        displays = compare(by_run)
    figures = []
    folder.mkdir(parents=True, exist_ok=True)
    clear(folder)
    for plan, summary in displays:
        figure = draw(plan)
        save(folder, figure)
        figures.append({**inline(folder, figure), "summary": summary})
    facts = {
        "sentence": ANALYSES[name].sentence,
        "refused": list(dict.fromkeys(refused)),
    }
    return {"name": name, "figures": figures, **facts}
