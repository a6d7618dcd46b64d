"""What starts from other runs gained over training from scratch."""

from collections.abc import Sequence
from typing import Any

from attn_research.analysis import statistics as stats
from attn_research.analysis.statistics import Row
from attn_research.report.drawings import axes
from attn_research.report.series import groups, titled
from attn_research.report.words import between

Line = dict[str, Any]
START = "init."


def gained(rows: Sequence[Row]) -> list[Line]:
    """A line for each start of every mixer and setting that has one from scratch too.

    Both at their best rates, and paired by their seeds.
    """
    names = axes(rows) if rows else []
    of_start = [name for name in names if name.startswith(START)]
    others = [name for name in names if not name.startswith(START)]
    several = len({row["metric"] for row in rows}) > 1
    lines: list[Line] = []
    for setting, part in groups(rows, lambda row: titled(row, others)).items():
        for mixer, own in groups(part, lambda row: row["mixer"]).items():
            scratch = [row for row in own if _drawn(row)]
            begun = [row for row in own if row.get("init.path") is not None]
            if not scratch or not begun:
                continue
            metric, goal = own[0]["metric"], own[0]["goal"]
            sign = 1.0 if goal == "max" else -1.0
            base = _by_seed(scratch, sign)
            first = sign * stats.bootstrap(list(base.values())).mean
            for start, some in groups(begun, lambda r: titled(r, of_start)).items():
                found = _by_seed(some, sign)
                gain = stats.paired(found, base)
                lines.append(
                    {
                        **({"setting": setting} if setting else {}),
                        "mixer": mixer,
                        "start": start,
                        **({"metric": metric} if several else {}),
                        "quality" if several else metric: sign
                        * stats.bootstrap(list(found.values())).mean,
                        "from scratch": first,
                        "gained": gain.mean,
                        "95 %": between(gain),
                        "steps": max(row["step"] for row in some),
                        "seeds": len(found.keys() & base.keys()),
                    }
                )
    return lines


def _drawn(row: Row) -> bool:
    """Whether everything was drawn, and all of it has learned."""
    return row.get("init.path") is None and row.get("init.trunk", "all") == "all"


def _by_seed(rows: Sequence[Row], sign: float) -> dict[int, float]:
    return stats.by_seed(stats.at_best_rate(rows), lambda r: sign * stats.headline(r))
