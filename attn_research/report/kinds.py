"""What each group of examples scores: every speaker, every gender of a pronoun."""

from collections.abc import Sequence
from typing import Any

from attn_research.analysis.statistics import Row
from attn_research.report.drawings import axes
from attn_research.report.series import chosen, groups


def kinds(rows: Sequence[Row]) -> list[Row]:
    """One row per cell: its headline in each group, and how far these lie apart.

    The mean over seeds at the best learning rate; no rows where there are no groups.
    """
    names = axes(rows) if rows else []
    cells = groups(rows, lambda row: row["cell"]).values()
    told = [(members[0], _means(members)) for members in cells]
    every = list(dict.fromkeys(group for _, means in told for group in means))
    return [
        {
            "mixer": first["mixer"],
            **{name: first.get(name) for name in names},
            **{group: means.get(group) for group in every},
            "apart": max(means.values()) - min(means.values()),
        }
        for first, means in told
        if means
    ]


def _means(members: Sequence[Row]) -> dict[str, float]:
    """Each group and the mean over seeds of the headline in it."""
    found: dict[str, list[float]] = {}
    for row in chosen(members):
        table: dict[str, Any] = row.get("by_group") or {}
        scores = table.get(row["metric"], [])
        for group, score in zip(table.get("name", []), scores, strict=False):
            found.setdefault(group, []).append(score)
    return {group: sum(some) / len(some) for group, some in found.items()}
