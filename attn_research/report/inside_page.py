"""The inside of trained models as a self-contained page, figures and numbers beside.

index.html             the page
NAME.png .svg .csv     each figure, and its numbers
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from attn_research.analysis import remembered
from attn_research.analysis.runs import Member
from attn_research.analysis.subject import Subject
from attn_research.config import content_hash
from attn_research.durable import atomic_write
from attn_research.modules import pattern
from attn_research.options import BadInput, unknown
from attn_research.progress import Steps
from attn_research.report.inside import ANALYSES, Shown, compared, drawn, kept
from attn_research.report.saving import inlined, save, template


class Seen(NamedTuple):
    """A member of a run, what it is looked at with, and that in words."""

    directory: Path
    member: Member
    subject: Subject
    words: str

    @property
    def facts(self) -> dict[str, Any]:
        """What is to be known of the model."""
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

    def shown(self, name: str) -> tuple[list[Shown], bool]:
        """What an analysis shows, and whether it was kept in the run's directory."""
        member = self.member
        key = {
            "config": content_hash(member.restored.config),
            "params": member.digest,
            "member": member.number,
            "step": member.restored.step,
            "hypers": member.restored.hypers,
            "looked at with": self.subject.digest,
        }
        show = ANALYSES[name].show
        folder = remembered.folder(self.directory)
        return kept.kept(folder, name, key, lambda: show(self.subject))


def labels(seen: Sequence[Seen]) -> list[str]:
    """A label for each: its mixers, and where two have the same ones the run.

    A run of which several members or steps are seen is told by them.
    """
    patterns = [one.member.restored.config.model.pattern for one in seen]
    briefs = [pattern.brief(one) for one in patterns]
    paths = {one.directory: one.directory.resolve().name for one in seen}
    names = list(paths.values())
    # Directories of one name are told by their paths.
    runs = [
        str(one.directory) if names.count(paths[one.directory]) > 1
        else paths[one.directory]
        for one in seen
    ]  # fmt: skip
    known = []
    for one, brief, run in zip(seen, briefs, runs, strict=True):
        beside = [
            other
            for other, alike in zip(seen, briefs, strict=True)
            if alike == brief and other is not one
        ]
        here = [other.member for other in beside if other.directory == one.directory]
        parts = [run] if len(here) < len(beside) else []
        if any(other.number != one.member.number for other in here):
            parts.append(f"member {one.member.number}")
        if any(other.restored.step != one.member.restored.step for other in here):
            parts.append(f"step {one.member.restored.step}")
        known.append(f"{brief} ({', '.join(parts)})" if parts else brief)
    return known


def write(
    folder: str | os.PathLike[str],
    seen: Sequence[Seen],
    names: Sequence[str],
    name: str = "analysis",
) -> Path:
    """Writes the page of one run, or of several that are compared in every figure.

    Of several analyses one that does not exist for a model says so on the page. Raises
    `BadInput` for the only one, and for one that there is not.
    """
    for one in names:
        if one not in ANALYSES:
            raise unknown("analysis", one, ANALYSES)
    folder = Path(folder)
    told = dict(zip(labels(seen), seen, strict=True))
    with Steps(name, len(names) * len(seen)) as steps:
        parts = [_part(folder, one, told, steps, len(names) == 1) for one in names]
    briefs = dict.fromkeys(
        pattern.brief(one.member.restored.config.model.pattern) for one in seen
    )
    page = template("inside.html").render(
        title=", ".join(briefs),
        runs=[
            {
                "label": label,
                "name": one.directory.resolve().name,
                "words": one.words,
                "notes": one.member.notes,
                "facts": one.facts,
            }
            for label, one in told.items()
        ],
        parts=parts,
    )
    atomic_write(folder / "index.html", page)
    return folder / "index.html"


def _part(
    folder: Path, name: str, seen: dict[str, Seen], steps: Steps, only: bool
) -> dict[str, Any]:
    """One analysis of every run, its figures saved, as the page has it."""
    found: dict[str, list[Shown]] = {}
    refused: list[str] = []
    for label, one in seen.items():
        step = name if len(seen) == 1 else f"{name} of {label}"
        steps.begin(step)
        note = ""
        try:
            found[label], was_kept = one.shown(name)
            note = "kept from before" if was_kept else ""
        except BadInput as error:
            if only and len(seen) == 1:
                raise
            note = "not there"
            refused.append(str(error))
        steps.end(step, note)
    if only and not found:
        raise BadInput("; ".join(dict.fromkeys(refused)))
    shown = [one for own in found.values() for one in own]
    if len(seen) > 1:
        shown = compared.compared(found)
    figures = []
    folder.mkdir(parents=True, exist_ok=True)
    for plan, summary in shown:
        figure = drawn(plan)
        save(folder, figure)
        figures.append({**inlined(folder, figure), "summary": summary})
    facts = {
        "sentence": ANALYSES[name].sentence,
        "refused": list(dict.fromkeys(refused)),
    }
    return {"name": name, "figures": figures, **facts}
