"""The scores of groups of examples, such as speakers, or genders of a pronoun."""

from collections.abc import Sequence
from typing import Any

from attn_research.analysis.statistics import Row
from attn_research.report.figures import TableRow
from attn_research.report.plans import axes
from attn_research.report.series import chosen, group_by


def group_scores(rows: Sequence[Row]) -> list[TableRow]:
    """One row per cell: its headline in each group, and the range of these.

    The mean over seeds at the best learning rate; cells without groups are left out.
    """
    names = axes(rows) if rows else []
    cells = group_by(rows, lambda row: row["cell"]).values()
    scores = [(members[0], _means(members)) for members in cells]
    every = list(dict.fromkeys(group for _, means in scores for group in means))
    return [
        {
            "mixer": first["mixer"],
            **{name: first.get(name) for name in names},
            **{group: means.get(group) for group in every},
            "range": max(means.values()) - min(means.values()),
        }
        for first, means in scores
        if means
    ]


def _means(members: Sequence[Row]) -> dict[str, float]:
    """Group -> the mean over seeds of the headline in it."""
    by_group: dict[str, list[float]] = {}
    for row in chosen(members):
        table: dict[str, Any] = row.get("by_group") or {}
        scores = table.get(row["metric"], [])
        for group, score in zip(table.get("name", []), scores, strict=False):
            by_group.setdefault(group, []).append(score)
    return {group: sum(some) / len(some) for group, some in by_group.items()}
