"""The small tables under the figures of a study: areas, fronts, powers, crossings."""

import itertools
from collections.abc import Sequence
from typing import Any

from attn_research.analysis import statistics as stats
from attn_research.analysis.statistics import Row
from attn_research.report.figures import Figure
from attn_research.report.series import groups
from attn_research.report.words import between

Line = dict[str, Any]
Points = list[Line]
FAR = 16  # times beyond what is measured, and a crossing is no longer told


def tables(figure: Figure, rows: Sequence[Row]) -> list[list[Line]]:
    """The tables under a figure that have any lines, of rows that have its metric."""
    names = figure.table[0] if figure.table else {}
    rows = [row for row in rows if row.get("metric") in names] or rows
    curves: dict[tuple[str, str], Points] = {}
    for point in figure.table:
        curves.setdefault((point["panel"], point["series"]), []).append(point)
    made: list[list[Line]] = []
    if figure.name.startswith("learning_rate"):
        made = [_rates(curves, rows)]
    elif figure.name.startswith("cost_"):
        made = [_front(curves, rows[0]["goal"])]
    elif figure.name.startswith("length_"):
        of_mixer = {label: _positive(points) for (_, label), points in curves.items()}
        made = [_exponents(of_mixer), _crossings(of_mixer)]
    return [lines for lines in made if lines]


def _shown(panel: str) -> Line:
    return {"panel": panel} if panel else {}


def _rates(curves: dict[tuple[str, str], Points], rows: Sequence[Row]) -> list[Line]:
    """The best rate of each mixer, and the area under its curve."""
    lines = []
    for (panel, label), points in curves.items():
        x, y = list(points[0])[2:4]
        curve = {p[x]: stats.Interval(p[y], p["low"], p["high"]) for p in points}
        best = max if rows[0]["goal"] == "max" else min
        top = best(points, key=lambda point: point[y])
        own = [row for row in rows if row["mixer"] == label]
        found = stats.robustness(own) if not panel else None
        lines.append(
            {
                **_shown(panel),
                "mixer": label,
                "best rate": top[x],
                "at best rate": top[y],
                "area": stats.area(curve),
                **({"95 %": between(found)} if found else {}),
            }
        )
    return lines


def _front(curves: dict[tuple[str, str], Points], goal: str) -> list[Line]:
    """Of every panel the points that no other beats, where there is a choice."""
    lines = []
    for panel, parts in groups(curves.items(), lambda one: one[0][0]).items():
        points = [point for _, some in parts for point in some]
        x, y = list(points[0])[2:4]
        kept = stats.pareto([p[x] for p in points], [p[y] for p in points], goal)
        if len(points) > 1:
            lines += [
                {**_shown(panel), "on the front": p["series"], x: p[x], y: p[y]}
                for p, best in sorted(
                    zip(points, kept, strict=True), key=lambda one: one[0][x]
                )
                if best
            ]
    return lines


def _positive(points: Points) -> tuple[list[float], list[float]]:
    """The lengths and costs of the points whose cost has a logarithm."""
    x, y = list(points[0])[2:4]
    kept = [(point[x], point[y]) for point in points if point[y] > 0]
    return [at for at, _ in kept], [cost for _, cost in kept]


def _exponents(curves: dict[str, tuple[list[float], list[float]]]) -> list[Line]:
    """The exponent of the growth of each mixer."""
    found = {
        label: stats.exponent(*points)
        for label, points in curves.items()
        if len(points[0]) > 1
    }
    return [
        {"mixer": label, "exponent": power.mean, "95 %": between(power)}
        for label, power in found.items()
    ]


def _crossings(curves: dict[str, tuple[list[float], list[float]]]) -> list[Line]:
    """Where one mixer becomes cheaper than another whose cost grows faster.

    Of the pairs whose crossing is certain to be not far from the lengths measured.
    """
    lines = []
    for one, other in itertools.combinations(curves, 2):
        (x, y), (x_other, y_other) = curves[one], curves[other]
        if min(len(x), len(x_other)) < 2:
            continue
        found = stats.crossing(x, y, x_other, y_other)
        first, last = min(x + x_other), max(x + x_other)
        if not first / FAR <= found.low <= found.high <= last * FAR:
            continue
        slow, fast = one, other
        if stats.exponent(x, y).mean < stats.exponent(x_other, y_other).mean:
            slow, fast = other, one
        lines.append(
            {
                "cheaper": fast,
                "than": slow,
                "from a length of": found.mean,
                "95 %": between(found),
                "is": "measured" if first <= found.mean <= last else "extrapolated",
            }
        )
    return lines
