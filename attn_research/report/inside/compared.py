"""The figures of several runs as one each, a line or an image for every run.

Any analysis can be compared: what was a series of one run is a panel in which each run
has a line, in the colour of its mixer.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from attn_research.report.figures import Plan, Series
from attn_research.report.inside.contract import Line, Shown
from attn_research.report.matrices import Images


def compared(found: Mapping[str, Sequence[Shown]]) -> list[Shown]:
    """The figures of one analysis of several runs, by the label of each run."""
    names = dict.fromkeys(one.plan.name for own in found.values() for one in own)
    return [
        _joined(
            {run: one for run, own in found.items() for one in own
             if one.plan.name == name}
        )
        for name in names
    ]  # fmt: skip


def _joined(shown: Mapping[str, Shown]) -> Shown:
    plans = {run: one.plan for run, one in shown.items()}
    first = next(iter(plans.values()))
    captions = dict.fromkeys(plan.caption for plan in plans.values())
    caption = first.caption
    if len(captions) > 1:
        caption = " ".join(f"{run}: {plan.caption}" for run, plan in plans.items())
    panels: Any = _lines if isinstance(first, Plan) else _images
    told: dict[str, Any] = {
        "title": _neutral(first.title),
        "caption": caption,
        **panels(plans),
    }
    columns = dict.fromkeys(
        name for one in shown.values() for line in one.summary for name in line
    )
    summary: list[Line] = [
        {"run": run, **{name: line.get(name, "") for name in columns}}
        for run, one in shown.items()
        for line in one.summary
    ]
    return Shown(first._replace(**told), summary)


def _lines(plans: Mapping[str, Plan]) -> dict[str, Any]:
    """A panel for every series, in which each run has a line."""
    several = {
        _neutral(key)
        for plan in plans.values()
        for key, series in plan.panels.items()
        if len(series) > 1
    }
    panels: dict[str, Series] = {}
    levels: dict[str, float] = {}
    for run, plan in plans.items():
        for key, series in plan.panels.items():
            told = _neutral(key) in several
            for label, points in _merged(series).items():
                parts = [_neutral(key), *([label] if told else [])]
                panel = ": ".join(part for part in parts if part)
                own = panels.setdefault(panel, {})
                own[run] = sorted(own.get(run, []) + points, key=lambda one: one[0])
                if key in plan.levels:
                    levels[panel] = plan.levels[key]
    return {"panels": panels, "levels": levels, "by": "run"}


def _merged(series: Series) -> Series:
    """The series without the names of mixers: those of a hybrid follow each other.

    Where two have a point at the same place each keeps its own name.
    """
    merged: Series = {}
    for label, points in series.items():
        name = _neutral(label)
        there = {at for at, _ in merged.get(name, [])}
        if there & {at for at, _ in points}:
            name = label
        merged[name] = merged.get(name, []) + points
    return merged


def _images(plans: Mapping[str, Images]) -> dict[str, Any]:
    """The panels of every run, with the marks that all of them have."""
    first = next(iter(plans.values()))
    panels = {
        f"{run}: {key}" if key else run: weight_TS
        for run, plan in plans.items()
        for key, weight_TS in plan.panels.items()
    }
    told = {
        name: getattr(first, name)
        for name in ("marks", "tokens", "outputs")
        if all(getattr(plan, name) == getattr(first, name) for plan in plans.values())
    }
    return {**dict.fromkeys(("marks", "tokens", "outputs")), **told, "panels": panels}


def _neutral(label: str) -> str:
    """The label without a mixer in brackets at its end."""
    return label.partition(" (")[0] if label.endswith(")") else label
