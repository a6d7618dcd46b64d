"""A study whose results are written by hand, so that its report is known."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attn_research.config import Config, Population, Train
from attn_research.host import layout
from attn_research.host.durable import write_json
from attn_research.host.layout import RESULT
from attn_research.studies import store
from attn_research.studies.study import Cell, Expectation, Study, cells
from attn_research.training import metrics

PATTERNS = (
    "dense(positions=rope)",
    "window(window=16,positions=rope)",
    "linear",
    "lstm",
    "conv",
    "conv,dense",
)
POPULATION = Population(seed=(0, 1), lr=(1e-3, 4e-3))
REACH = {
    "dense(positions=rope)": math.inf,
    "window(window=16,positions=rope)": 30.0,
    "linear": 24.0,
    "lstm": 12.0,
    "conv": 6.0,
    "conv,dense": math.inf,
}


def study(*expectations: Expectation, patterns=PATTERNS, lengths=(32, 64)) -> Study:
    """A study of recall over lengths and mixers."""
    return Study(
        name="planted",
        question="Does recall depend on the distance to what is recalled?",
        claim="Attention recalls at every distance; others lose what lies far back.",
        base=Config(train=Train(steps=1500)),
        axes={"task.length": lengths, "model.pattern": patterns},
        population=POPULATION,
        expectations=expectations,
    )


def accuracy(pattern: str, gap: float, lr: float, seed: int) -> float:
    """High within the reach of a mixer, a little worse at the larger rate."""
    far = 1 / (1 + (gap / REACH.get(pattern, 10.0)) ** 4)
    return max(0.02, far * (0.99 if lr < 2e-3 else 0.9) - 0.03 * seed)


def member(index: int, cell: Cell, lr: float, seed: int) -> dict[str, Any]:
    """The record of one trained member, worse than it should be in no way."""
    pattern = cell.config.model.pattern
    length = int(cell.config.task.partition("length=")[2].rstrip(")"))
    ranges = [e for e in metrics.edges(length) if e[0] >= 1]
    value = [accuracy(pattern, math.sqrt(a * b), lr, seed) for a, b in ranges]
    table = {
        "low": [low for low, _ in ranges],
        "high": [high for _, high in ranges],
        "count": [100.0] * len(ranges),
        "accuracy": value,
        "loss": [3.0 * (1 - v) for v in value],
    }
    mean = sum(value) / len(value)
    own = {"accuracy": mean, "loss": 3.0 * (1 - mean)}
    return {
        "member": index,
        "seed": seed,
        "lr": lr,
        "weight_decay": 0.1,
        "status": "done",
        "step": 1500,
        "solved_step": None,
        "validation": own,
        "test": own,
        "by_gap": table,
        "by_position": table,
    }


def result(cell: Cell) -> dict[str, Any]:
    """What result.json of a finished cell holds."""
    population = cell.population
    points = [(lr, seed) for lr in population.lr for seed in population.seed]
    length = int(cell.config.task.partition("length=")[2].rstrip(")"))
    dense = "dense" in cell.config.model.pattern
    return {
        "cell": cell.id,
        "seconds": 60.0,
        "compile_seconds": 5.0,
        "steps_per_second": 100.0,
        "step_seconds": 1e-5 * length ** (2 if dense else 1),
        "parameters": 20_000,
        "state_bytes": 256 * (length if dense else 16),
        "flops": 1_000 * length,
        "peak_bytes": 10_000 * length,
        "environment": {"jax": "0.0", "machine": "<planted & quiet>"},
        "metric": "accuracy",
        "goal": "max",
        "chance": 1 / 16,
        "data": "",
        "members": [member(i, cell, *point) for i, point in enumerate(points)],
    }


def written(
    directory: Path,
    planted: Study,
    change: Callable[[Cell, dict[str, Any]], dict[str, Any] | None] = lambda c, r: r,
) -> list[Cell]:
    """Writes the study with the result of every cell; `change` may spoil one.

    A cell for which `change` gives None is left waiting.
    """
    made = cells(planted)
    store.open_study(directory, planted, made)
    for cell in made:
        found = change(cell, result(cell))
        if found is not None:
            write_json(store.place(directory, cell.id) / RESULT, found)
    return made


def failed(directory: Path, cell: Cell, message: str) -> None:
    """Records that a cell has failed."""
    layout.write_error(store.place(directory, cell.id), "memory_refused", message, 65)
