"""Learning curves: the validation headline along the steps, read from the logs."""

import math
from collections.abc import Sequence
from pathlib import Path

from attn_research.analysis import statistics as stats
from attn_research.analysis.statistics import Row
from attn_research.host.durable import Damaged, DiskError
from attn_research.host.journal import stream_journal
from attn_research.host.layout import METRICS
from attn_research.report import limits
from attn_research.report.axes import Series, unit
from attn_research.report.figures import Plan
from attn_research.report.plans import levels, panelled, seeds, sentence
from attn_research.report.series import chosen, group_by

POINTS = 200  # of one line; a finer curve could not be seen


def plans(rows: Sequence[Row]) -> list[Plan]:
    """The learning curves of each metric, of mixers evaluated more than once.

    The logs are read of what is drawn: the first panels and lines of a large study.
    """
    made = []
    for metric, some in group_by(rows, lambda row: row["metric"]).items():
        panel = panelled(some)
        by_panel = list(group_by(some, panel).items())
        panels = {key: curves(part, metric) for key, part in by_panel[: limits.PANELS]}
        if any(len(line) > 1 for lines in panels.values() for line in lines.values()):
            name = "learning" if not made else f"learning_{metric}"
            made.append(
                Plan(
                    name,
                    "Learning curves",
                    f"{sentence(unit(metric))} on validation, each mixer at the "
                    f"learning rate that validation chose; mean over {seeds(some)}."
                    + limits.first(limits.PANELS, len(by_panel), "panels"),
                    {key: lines for key, lines in panels.items() if lines},
                    "step",
                    metric,
                    log_x=False,
                    levels=levels(some, metric, panel),
                )
            )
    return made


def curves(rows: Sequence[Row], metric: str) -> Series:
    """The mean over seeds by step for each mixer.

    A member that was solved stops: it holds its last value while others go on.
    """
    by_mixer = group_by(rows, lambda row: row["mixer"])
    lines: Series = {}
    for mixer, some in list(by_mixer.items())[: limits.LINES]:
        known = [row for row in chosen(some) if row.get("directory")]
        every = [
            (values, row["status"] == "solved")
            for folder, members in group_by(known, lambda row: row["directory"]).items()
            for values, row in _read(Path(folder), metric, members)
        ]
        steps = _thinned(sorted({step for values, _ in every for step in values}))
        points = [(float(at), _at(every, at)) for at in steps]
        if points:
            lines[mixer] = points
    return lines


def _at(every: Sequence[tuple[dict[int, float], bool]], step: int) -> stats.Interval:
    """The mean at a step, of the members that have a value there or were solved."""
    values = []
    for by_step, solved in every:
        if step in by_step:
            values.append(by_step[step])
        elif solved and by_step and step > max(by_step):
            values.append(by_step[max(by_step)])
    return stats.mean_interval(values)


def _read(
    folder: Path, metric: str, members: Sequence[Row]
) -> list[tuple[dict[int, float], Row]]:
    """Step -> value of each member; [] if its log is not whole, as said elsewhere."""
    found: dict[int, dict[int, float]] = {row["member"]: {} for row in members}
    try:
        for record in stream_journal(folder / METRICS):
            if record.get("member") in found and _finite(record.get(metric)):
                found[record["member"]][record["step"]] = float(record[metric])
    except (Damaged, DiskError, KeyError, TypeError):
        return []
    return [(found[row["member"]], row) for row in members]


def _finite(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _thinned(steps: list[int]) -> list[int]:
    """At most about `POINTS` of the steps, evenly, with the last."""
    each = math.ceil(len(steps) / POINTS) or 1
    return sorted({*steps[::each], *steps[-1:]})
