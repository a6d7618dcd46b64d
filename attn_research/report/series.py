"""The rows of a study as series: one per mixer, in panels, with intervals."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from attn_research.analysis import statistics as stats
from attn_research.analysis.statistics import Row
from attn_research.report.axes import Series

T = TypeVar("T")


def group_by(rows: Iterable[T], by: Callable[[T], str]) -> dict[str, list[T]]:
    """The rows under each value of a key, in order of appearance."""
    groups: dict[str, list[T]] = {}
    for row in rows:
        groups.setdefault(by(row), []).append(row)
    return groups


def titled(row: Row, names: Iterable[str]) -> str:
    """The fields of a row, without those that it lacks, as text: `length 64`."""
    return ", ".join(
        row["start"] if name == "init.path" else f"{name.split('.')[-1]} {row[name]}"
        for name in names
        if name in row
    )


def along(
    rows: Sequence[Row], axis: str, panel: Callable[[Row], str]
) -> dict[str, Series]:
    """The test headline against a numeric axis, by panel and mixer."""
    panels: dict[str, Series] = {}
    for key, part in group_by(rows, panel).items():
        for label, of_mixer in group_by(part, lambda row: row["mixer"]).items():
            points = group_by(of_mixer, lambda row: str(row[axis]))
            panels.setdefault(key, {})[label] = sorted(
                (
                    float(value),
                    stats.mean_interval([stats.headline(r) for r in chosen(some)]),
                )
                for value, some in points.items()
            )
    return panels


def chosen(rows: Sequence[Row]) -> list[Row]:
    """The trained rows at the best learning rate."""
    return stats.trained(stats.at_best_rate(rows))


def distance(
    rows: Sequence[Row], table: str, metric: str, panel: Callable[[Row], str]
) -> dict[str, Series]:
    """A metric against distance (`by_gap`, `by_position`), by panel and mixer."""
    return {
        key: {
            label: stats.by_distance(chosen(of_mixer), table, metric)
            for label, of_mixer in group_by(part, lambda row: row["mixer"]).items()
        }
        for key, part in group_by(rows, panel).items()
    }


def chances(rows: Sequence[Row], panel: Callable[[Row], str]) -> dict[str, float]:
    """The level of chance in each panel whose rows agree on it."""
    levels = {
        key: {row.get("chance") for row in part}
        for key, part in group_by(rows, panel).items()
    }
    return {
        key: level
        for key, (level, *others) in levels.items()
        if not others and level is not None
    }


def rates(rows: Sequence[Row], panel: Callable[[Row], str]) -> dict[str, Series]:
    """The test headline against the learning rate, by panel and mixer."""
    return {
        key: {
            label: list(stats.rate_curve(of_mixer).items())
            for label, of_mixer in group_by(part, lambda row: row["mixer"]).items()
        }
        for key, part in group_by(rows, panel).items()
    }


def against_cost(
    rows: Sequence[Row], cost: str, panel: Callable[[Row], str]
) -> dict[str, Series]:
    """The test headline against a cost, a point per cell, by panel and mixer."""
    panels: dict[str, Series] = {}
    for key, part in group_by(rows, panel).items():
        for label, of_mixer in group_by(part, lambda row: row["mixer"]).items():
            cells = group_by(of_mixer, lambda row: row["cell"])
            panels.setdefault(key, {})[label] = sorted(
                (
                    float(some[0][cost]),
                    stats.mean_interval([stats.headline(r) for r in chosen(some)]),
                )
                for some in cells.values()
                if some[0].get(cost)
            )
    return panels


def cost_along(rows: Sequence[Row], axis: str, cost: str) -> Series:
    """A cost against a numeric axis, by mixer."""
    series: Series = {}
    for label, of_mixer in group_by(rows, lambda row: row["mixer"]).items():
        points = group_by(of_mixer, lambda row: str(row[axis]))
        series[label] = sorted(
            (
                float(value),
                stats.mean_interval([float(r[cost]) for r in some if r.get(cost)]),
            )
            for value, some in points.items()
        )
    return series
