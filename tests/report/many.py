"""A study of many finished cells: `python -m tests.report.many DIR COUNT` writes it."""

import dataclasses
import sys
from pathlib import Path

from attn_research.host import layout
from attn_research.host.journal import Journal
from attn_research.studies import store
from attn_research.studies.study import Study
from tests import planted

EVALUATIONS = 20
AXES = {
    "model.pattern": (*planted.PATTERNS, "gru", "diagonal"),
    "task.length": (32, 64, 128, 256, 512),
    "model.width": (16, 32, 64, 128, 256),
    "model.layers": (1, 2),
    "train.batch": (8, 16, 32, 64, 128),
}


def study(count: int) -> Study:
    """`count` cells at most: mixers first, then settings, as far as they are needed."""
    axes: dict[str, tuple] = {}
    left = count
    for name, values in AXES.items():
        axes[name] = values[: max(1, left)]
        left //= len(values)
    return dataclasses.replace(planted.study(), axes=axes)


def written(directory: Path, count: int) -> int:
    """Writes the study with the log and the result of every cell; returns how many."""
    made = planted.written(directory, study(count))
    for cell in made:
        with Journal(store.place(directory, cell.id) / layout.METRICS) as journal:
            for step in range(EVALUATIONS):
                for member in range(cell.population.size):
                    record = {"step": 75 * (step + 1), "member": member}
                    journal.append({**record, "accuracy": 0.5, "train_loss": 1.0})
    return len(made)


if __name__ == "__main__":
    print(written(Path(sys.argv[1]), int(sys.argv[2])))
