"""More learning rates where the best of those tried lies at an end."""

import dataclasses
import math
from collections.abc import Sequence

from attn_research.config import content_hash
from attn_research.studies import plateau
from attn_research.studies.study import Cell, Row

FACTOR, MOST = 3.0, 7


def wider(cells: Sequence[Cell], rows: Sequence[Row]) -> list[Cell]:
    """The cells to add: a rate a factor of 3 beyond each end that is best.

    Cells that differ in their population alone are one grid of rates, judged by the
    mean of the headline in validation over seeds; a diverged seed counts as worst. A
    grid gets at most 7 rates, and none beyond a headline at its ceiling. One rate alone
    is both ends.
    """
    grids: dict[str, list[Cell]] = {}
    for cell in cells:
        grids.setdefault(content_hash(cell.config), []).append(cell)
    added = []
    for grid in grids.values():
        ids = {cell.id for cell in grid}
        own = [row for row in rows if row["cell"] in ids]
        tried = {lr for cell in grid for lr in cell.population.lr}
        rates = [rate for rate in _beyond(own) if rate not in tried]
        for rate in rates[: max(MOST - len(tried), 0)]:
            population = dataclasses.replace(grid[0].population, lr=(rate,))
            added.append(Cell(grid[0].config, population))
    return added


def _beyond(rows: Sequence[Row]) -> list[float]:
    """The rates beyond the ends at which the best lies."""
    scores: dict[float, list[float]] = {}
    for row in rows:
        scores.setdefault(row["lr"], []).append(_score(row))
    means = {lr: math.fsum(some) / len(some) for lr, some in scores.items()}
    known = {lr: mean for lr, mean in means.items() if math.isfinite(mean)}
    if not known:
        return []
    best = max(known, key=lambda lr: known[lr])
    goal, chance = rows[0]["goal"], rows[0].get("chance")
    if goal == "max" and plateau.solved(known[best], goal, chance):
        return []
    beyond = []
    if best == min(means):
        beyond.append(best / FACTOR)
    if best == max(means):
        beyond.append(best * FACTOR)
    return [float(f"{rate:.3g}") for rate in beyond]


def _score(row: Row) -> float:
    """The headline in validation, larger is better; a diverged member is worst."""
    value = row.get(f"validation.{row['metric']}")
    if row["status"] == "diverged" or value is None or math.isnan(value):
        return -math.inf
    return float(value) if row["goal"] == "max" else -float(value)
