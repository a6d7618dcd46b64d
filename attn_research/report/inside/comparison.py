"""The figures of several runs in one, with a line or an image for every run.

Any analysis can be compared: each series becomes a panel in which every run has a line,
in the colour of its mixer.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from attn_research.report.axes import Series
from attn_research.report.figures import Plan, TableRow
from attn_research.report.inside.contract import Display
from attn_research.report.matrices import Images

OPTIONAL = (
    "labels",
    "tokens",
    "outputs",
    "scale",
)  # fields of `Images` that runs may share


def compare(by_run: Mapping[str, Sequence[Display]]) -> list[Display]:
    """The joint figures of one analysis of several runs, by the label of each run."""
    by_name: dict[str, dict[str, Display]] = {}
    for run, displays in by_run.items():
        for display in displays:
            by_name.setdefault(display.plan.name, {})[run] = display
    return [_join(displays) for displays in by_name.values()]


def _join(displays: Mapping[str, Display]) -> Display:
    plans = {run: display.plan for run, display in displays.items()}
    first = next(iter(plans.values()))
    captions = dict.fromkeys(plan.caption for plan in plans.values())
    caption = first.caption
    if len(captions) > 1:
        caption = " ".join(f"{run}: {plan.caption}" for run, plan in plans.items())
    panels: Any = _lines if isinstance(first, Plan) else _images
    fields: dict[str, Any] = {
        "title": _without_mixer(first.title),
        "caption": caption,
        **panels(plans),
    }
    columns = dict.fromkeys(
        name for display in displays.values() for row in display.summary for name in row
    )
    summary: list[TableRow] = [
        {"run": run, **{name: row.get(name, "") for name in columns}}
        for run, display in displays.items()
        for row in display.summary
    ]
    return Display(first._replace(**fields), summary)


def _lines(plans: Mapping[str, Plan]) -> dict[str, Any]:
    """A panel for every series, in which each run has a line."""
    several = {
        _without_mixer(key)
        for plan in plans.values()
        for key, series in plan.panels.items()
        if len(series) > 1
    }
    panels: dict[str, Series] = {}
    levels: dict[str, float] = {}
    for run, plan in plans.items():
        for key, series in plan.panels.items():
            labelled = _without_mixer(key) in several
            for label, points in _merged(series).items():
                parts = [_without_mixer(key), *([label] if labelled else [])]
                panel = ": ".join(part for part in parts if part)
                lines = panels.setdefault(panel, {})
                points = lines.get(run, []) + points
                lines[run] = sorted(points, key=lambda point: point[0])
                if key in plan.levels:
                    levels[panel] = plan.levels[key]
    return {"panels": panels, "levels": levels, "by": "run"}


def _merged(series: Series) -> Series:
    """The series without the names of mixers, so that those of a hybrid are joined.

    Two series with a point at the same place keep their names.
    """
    merged: Series = {}
    for label, points in series.items():
        name = _without_mixer(label)
        places = {at for at, _ in merged.get(name, [])}
        if places & {at for at, _ in points}:
            name = label
        merged[name] = merged.get(name, []) + points
    return merged


def _images(plans: Mapping[str, Images]) -> dict[str, Any]:
    """The panels of every run, with the labels that all of them share."""
    first = next(iter(plans.values()))
    panels = {
        f"{run}: {key}" if key else run: weight_TS
        for run, plan in plans.items()
        for key, weight_TS in plan.panels.items()
    }
    shared = {
        name: getattr(first, name)
        for name in OPTIONAL
        if all(getattr(plan, name) == getattr(first, name) for plan in plans.values())
    }
    return {**dict.fromkeys(OPTIONAL), **shared, "panels": panels}


def _without_mixer(label: str) -> str:
    """The label without a mixer in brackets at its end."""
    return label.partition(" (")[0] if label.endswith(")") else label
