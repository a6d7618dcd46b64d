"""Can attention and diagonal recurrences track a state beyond the length of training?

Parity counts modulo 2, and a walk on a cycle modulo 5. Rows of up to 32 symbols train
and choose, rows of up to 128 test, and every position answers.

    python scripts/sweep.py --experiment=claims/state_tracking \\
        --out=runs/state_tracking --workers=2
    python scripts/report.py runs/state_tracking

Quick size, 5 minutes of one core: mixed. Beyond the lengths of training an LSTM counts
modulo 2, 0.998 (0.994 to 1); dense attention has 0.504, a diagonal recurrence 0.499 and
linear attention 0.498, a guess. On a cycle of 5 the LSTM is right in 0.595 (0.523 to
0.691), as the diagonal recurrence is (0.598), where both know 0.99 of the trained
lengths. After 400 steps it was 0.574.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from attn_research.analysis.statistics import Interval, Row, inside, level
from attn_research.config import Config, Model, Population, Train
from attn_research.config import replace as change
from attn_research.study import Expectation, Study

DENSE = "dense(positions=rope)"
SHORT, LONG = 32, 128


def tasks(length: int, test_length: int) -> tuple[str, ...]:
    """Both tasks, trained and tested up to these lengths."""
    sizes = f"length={length},test_length={test_length}"
    return (f"parity({sizes})", f"cycle_navigation({sizes})")


def beyond(rows: Sequence[Row], task: str, mixer: str) -> Interval:
    """Accuracy at the positions that were never trained."""

    def measure(row: Row) -> float:
        return inside(row, "by_position", "accuracy", row["task.length"], math.inf)

    return level([row for row in rows if row["task"] == task], mixer, measure)


QUICK = Study(
    name="state_tracking",
    question="Can attention and diagonal recurrences track a state beyond the length "
    "of training?",
    claim="Recurrent networks solve what attention and diagonal linear recurrences "
    "cannot beyond the lengths they were trained at.",
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
            "An LSTM counts modulo 2 beyond the lengths of training",
            lambda rows: beyond(rows, "parity", "lstm"),
            low=0.95,
            unit="accuracy",
        ),
        *(
            Expectation(
                f"{told} does not",
                lambda rows, mixer=mixer: beyond(rows, "parity", mixer),
                high=0.6,
                unit="accuracy",
            )
            for told, mixer in (
                ("Dense attention", DENSE),
                ("A diagonal recurrence", "diagonal"),
                ("Linear attention", "linear"),
            )
        ),
        Expectation(
            "An LSTM walks on a cycle of 5 beyond them",
            lambda rows: beyond(rows, "cycle_navigation", "lstm"),
            low=0.9,
            unit="accuracy",
        ),
    ),
    confounds=(
        "Width, layers, MLP, data, steps, batch and learning rate are those of every "
        "mixer; parameters are not.",
    ),
    figure="by_position",
)
FULL = replace(
    QUICK,
    base=change(
        QUICK.base,
        {
            "model.width": 128,
            "train.steps": 20_000,
            "train.batch": 128,
            "train.eval_every": 1000,
        },
    ),
    axes={
        "task": tasks(64, 512),
        "model.pattern": ("lstm", "gru", DENSE, "diagonal", "linear", "mamba", "delta"),
    },
    population=Population(seed=(0, 1, 2, 3, 4), lr=(3e-4, 1e-3, 3e-3)),
)
STUDIES = {"quick": QUICK, "full": FULL}
