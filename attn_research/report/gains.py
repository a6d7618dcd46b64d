"""The gain of a start from another run over training from scratch."""

from collections.abc import Sequence

from attn_research.analysis import statistics as stats
from attn_research.analysis.statistics import Row
from attn_research.report.figures import TableRow
from attn_research.report.formatting import between
from attn_research.report.plans import axes
from attn_research.report.series import group_by, titled

START = "init."


def transfer_gains(rows: Sequence[Row]) -> list[TableRow]:
    """A table row per start of a mixer and setting that is trained from scratch too.

    Both are at their best rates, and paired by seed.
    """
    names = axes(rows) if rows else []
    of_start = [name for name in names if name.startswith(START)]
    of_setting = [name for name in names if not name.startswith(START)]
    several = len({row["metric"] for row in rows}) > 1
    lines: list[TableRow] = []
    for setting, part in group_by(rows, lambda row: titled(row, of_setting)).items():
        for mixer, some in group_by(part, lambda row: row["mixer"]).items():
            scratch = [row for row in some if _from_scratch(row)]
            others = [row for row in some if row.get("init.path") is not None]
            if not scratch or not others:
                continue
            metric, goal = some[0]["metric"], some[0]["goal"]
            sign = 1.0 if goal == "max" else -1.0
            base = _by_seed(scratch, sign)
            first = sign * stats.mean_interval(list(base.values())).mean
            starts = group_by(others, lambda row: titled(row, of_start))
            for start, started in starts.items():
                values = _by_seed(started, sign)
                gain = stats.paired(values, base)
                lines.append(
                    {
                        **({"setting": setting} if setting else {}),
                        "mixer": mixer,
                        "start": start,
                        **({"metric": metric} if several else {}),
                        "quality" if several else metric: sign
                        * stats.mean_interval(list(values.values())).mean,
                        "from scratch": first,
                        "gained": gain.mean,
                        "95 %": between(gain),
                        "steps": max(row["step"] for row in started),
                        "seeds": len(values.keys() & base.keys()),
                    }
                )
    return lines


def _from_scratch(row: Row) -> bool:
    """Whether all parameters were initialised at random, and none was frozen."""
    return row.get("init.path") is None and row.get("init.trunk", "all") == "all"


def _by_seed(rows: Sequence[Row], sign: float) -> dict[int, float]:
    return stats.by_seed(stats.at_best_rate(rows), lambda r: sign * stats.headline(r))
