"""Can attention and diagonal recurrences track a state beyond the training lengths?

Parity counts modulo 2, and a walk on a cycle modulo 5. Rows of up to 32 symbols are for
training and validation, rows of up to 128 for the test, and every position answers.

    python scripts/sweep.py --experiment=claims/state_tracking \\
        --out=runs/state_tracking --workers=2
    python scripts/report.py runs/state_tracking

Quick size, 5 minutes of one core: undecided, as the seeds of the LSTM on the cycle lie
far apart. Accuracy beyond the training lengths:

                           parity                     cycle of 5
    lstm                   0.998 (0.976 to 1.007)     0.615 (0.451 to 1.015)
    dense attention        0.497 (0.480 to 0.523)
    diagonal recurrence    0.493 (0.466 to 0.505)
    linear attention       0.494 (0.493 to 0.498)

About 0.5 of parity is a guess. On the cycle, the LSTM and the diagonal recurrence both
know 0.99 of the trained lengths; after 400 steps the LSTM had 0.574.
"""

import math
from collections.abc import Sequence

from attn_research.analysis.statistics import Interval, Row, inside, level
from attn_research.config import Config, Model, Population, Train
from attn_research.studies.study import Expectation, Study, variant

DENSE = "dense(positions=rope)"
SHORT, LONG = 32, 128


def tasks(length: int, test_length: int) -> tuple[str, ...]:
    """The specs of both tasks for training and test up to these lengths."""
    sizes = f"length={length},test_length={test_length}"
    return (f"parity({sizes})", f"cycle_navigation({sizes})")


def beyond(rows: Sequence[Row], task: str, mixer: str) -> Interval:
    """Accuracy at positions beyond the training lengths."""

    def measure(row: Row) -> float:
        return inside(row, "by_position", "accuracy", row["task.length"], math.inf)

    return level([row for row in rows if row["task"] == task], mixer, measure)


QUICK = Study(
    name="state_tracking",
    question="Can attention and diagonal recurrences track a state beyond the "
    "training lengths?",
    claim="Beyond the training lengths, recurrent networks solve what attention and "
    "diagonal linear recurrences cannot.",
    source="Deletang et al., 2022, arXiv:2207.02098; Merrill et al., 2024, "
    "arXiv:2404.08819",
    base=Config(
        task="parity",
        model=Model(width=32, mlp="gelu", mlp_ratio=2.0),
        train=Train(
            steps=1200, batch=32, eval_every=400, eval_batches=4, test_batches=8
        ),
    ),
    axes={
        "task": tasks(SHORT, LONG),
        "model.pattern": ("lstm", DENSE, "diagonal", "linear"),
    },
    population=Population(seed=(0, 1, 2), lr=(5e-3,)),
    expectations=(
        Expectation(
            "An LSTM counts modulo 2 beyond the training lengths",
            lambda rows: beyond(rows, "parity", "lstm"),
            low=0.95,
            unit="accuracy",
            why="Solved: one answer of twenty may be wrong.",
        ),
        *(
            Expectation(
                f"{name} does not count modulo 2 beyond the training lengths",
                lambda rows, mixer=mixer: beyond(rows, "parity", mixer),
                high=0.6,
                unit="accuracy",
                why="Chance is 0.5; a tenth above it is not solved.",
            )
            for name, mixer in (
                ("Dense attention", DENSE),
                ("A diagonal recurrence", "diagonal"),
                ("Linear attention", "linear"),
            )
        ),
        Expectation(
            "An LSTM walks on a cycle of 5 beyond the training lengths",
            lambda rows: beyond(rows, "cycle_navigation", "lstm"),
            low=0.9,
            unit="accuracy",
            why="Solved: one answer of ten may be wrong.",
        ),
    ),
    confounds=(
        "All mixers share width, layers, MLP, data, steps, batch and learning rate; "
        "their numbers of parameters differ.",
    ),
    figure="by_position",
)
FULL = variant(
    QUICK,
    base={
        "model.width": 128,
        "train.steps": 20_000,
        "train.batch": 128,
        "train.eval_every": 1000,
    },
    axes={
        "task": tasks(64, 512),
        "model.pattern": ("lstm", "gru", DENSE, "diagonal", "linear", "mamba", "delta"),
    },
    population=Population(seed=(0, 1, 2, 3, 4), lr=(3e-4, 1e-3, 3e-3)),
)
STUDIES = {"quick": QUICK, "full": FULL}
