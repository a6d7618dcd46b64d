"""The small tables under the figures of a study: areas, optima, crossings."""

import itertools
from collections.abc import Sequence

from attn_research.analysis import statistics as stats
from attn_research.analysis.statistics import Row
from attn_research.report.figures import Figure, TableRow
from attn_research.report.formatting import between
from attn_research.report.limits import LINES
from attn_research.report.plans import axes
from attn_research.report.series import group_by, titled

Points = list[TableRow]
Curves = dict[str, tuple[list[float], list[float]]]
FAR = 16  # times the measured lengths; crossings further away are left out


def tables(figure: Figure, rows: Sequence[Row]) -> list[list[TableRow]]:
    """The tables under a figure that are not empty, of rows that have its metric."""
    names = figure.table[0] if figure.table else {}
    rows = [row for row in rows if row.get("metric") in names] or rows
    curves: dict[tuple[str, str], Points] = {}
    for point in figure.table:
        curves.setdefault((point["panel"], point["series"]), []).append(point)
    made: list[list[TableRow]] = []
    if figure.name.startswith("learning_rate"):
        made = [_rates(curves, rows)]
    elif figure.name.startswith("cost_"):
        made = [_optima(curves, rows[0]["goal"])]
    elif figure.name.startswith("length_"):
        of_mixer = {label: _positive(points) for (_, label), points in curves.items()}
        made = [_exponents(of_mixer), _crossings(of_mixer)]
    return [lines for lines in made if lines]


def _in_panel(panel: str) -> TableRow:
    return {"panel": panel} if panel else {}


def _rates(
    curves: dict[tuple[str, str], Points], rows: Sequence[Row]
) -> list[TableRow]:
    """The best rate of each mixer in validation, and the area under its curve."""
    lines, names = [], axes(rows)
    of_mixer = group_by(rows, lambda row: row["mixer"])
    of_panel = group_by(rows, lambda row: f"{row['mixer']}\0{titled(row, names)}")
    for (panel, label), points in curves.items():
        x, y = list(points[0])[2:4]
        curve = {p[x]: stats.Interval(p[y], p["low"], p["high"]) for p in points}
        some = of_mixer.get(label, [])
        here = of_panel.get(f"{label}\0{panel}", []) if panel else some
        rate = stats.at_best_rate(here)[0]["lr"] if here else None
        height = next((point[y] for point in points if point[x] == rate), None)
        interval = stats.robustness(some) if not panel else None
        lines.append(
            {
                **_in_panel(panel),
                "mixer": label,
                "best rate": rate,
                "at best rate": height,
                "area": stats.area(curve),
                **({"95 %": between(interval)} if interval else {}),
            }
        )
    return lines


def _optima(curves: dict[tuple[str, str], Points], goal: str) -> list[TableRow]:
    """The Pareto-optimal points of every panel with several points."""
    lines = []
    for panel, parts in group_by(curves.items(), lambda curve: curve[0][0]).items():
        points = [point for _, some in parts for point in some]
        x, y = list(points[0])[2:4]
        optimal = stats.pareto([p[x] for p in points], [p[y] for p in points], goal)
        best = [point for point, keep in zip(points, optimal, strict=True) if keep]
        if len(points) > 1:
            lines += [
                {**_in_panel(panel), "Pareto-optimal": p["series"], x: p[x], y: p[y]}
                for p in sorted(best, key=lambda point: point[x])
            ]
    return lines


def _positive(points: Points) -> tuple[list[float], list[float]]:
    """The lengths and costs of the points whose cost has a logarithm."""
    x, y = list(points[0])[2:4]
    positive = [(point[x], point[y]) for point in points if point[y] > 0]
    return [at for at, _ in positive], [cost for _, cost in positive]


def _exponents(curves: Curves) -> list[TableRow]:
    """The exponent of the growth of each mixer."""
    exponents = {
        label: stats.exponent(*points)
        for label, points in curves.items()
        if len(points[0]) > 1
    }
    return [
        {"mixer": label, "exponent": power.mean, "95 %": between(power)}
        for label, power in exponents.items()
    ]


def _crossings(curves: Curves) -> list[TableRow]:
    """The lengths at which one mixer becomes cheaper than another that grows faster.

    Pairs are left out unless the whole interval is near the measured lengths, and of
    many mixers those that are not drawn.
    """
    lines = []
    for one, other in itertools.combinations([*curves][:LINES], 2):
        (x, y), (x_other, y_other) = curves[one], curves[other]
        if min(len(x), len(x_other)) < 2:
            continue
        at = stats.crossing(x, y, x_other, y_other)
        first, last = min(x + x_other), max(x + x_other)
        if not first / FAR <= at.low <= at.high <= last * FAR:
            continue
        slow, fast = one, other
        if stats.exponent(x, y).mean < stats.exponent(x_other, y_other).mean:
            slow, fast = other, one
        lines.append(
            {
                "cheaper": fast,
                "than": slow,
                "from a length of": at.mean,
                "95 %": between(at),
                "crossing": "measured" if first <= at.mean <= last else "extrapolated",
            }
        )
    return lines
