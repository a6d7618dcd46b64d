"""Does attention recall what was said however far back it is?

Pairs of a key and its value stand anywhere among blanks, and a key alone asks for its
value: at once, or up to 62 tokens later. A short convolution binds a value to the key
before it; above it is attention, which knows no positions, or another mixer. Every
member answers at all distances, so that near and far are measured on one model.

    python scripts/sweep.py --experiment=claims/recall_at_any_distance \\
        --out=runs/recall_at_any_distance --workers=2
    python scripts/report.py runs/recall_at_any_distance

Quick size, 2 minutes of one core: supported. Attention recalls everything at every
distance; at 32 tokens and more, an LSTM recalls 0.416 less than nearby (0.370 to
0.482).
"""

import math

from attn_research.analysis.statistics import Row, inside, lead, level
from attn_research.config import Config, Model, Population, Train
from attn_research.studies.study import Expectation, Study, variant

DENSE, LSTM = "conv,dense", "conv,lstm"
NEAR, FAR = 7, 32


def far(row: Row) -> float:
    """Accuracy if the value lies far back."""
    return inside(row, "by_gap", "accuracy", FAR, math.inf)


def fall(row: Row) -> float:
    """The fall of accuracy from the near values to the far ones."""
    return inside(row, "by_gap", "accuracy", 1, NEAR) - far(row)


QUICK = Study(
    name="recall_at_any_distance",
    question="Does attention recall what was said however far back it is?",
    claim="Self-attention relates any two tokens regardless of their distance: its "
    "recall does not fall with the gap.",
    source="Bahdanau et al., 2014, arXiv:1409.0473; Vaswani et al., 2017, "
    "arXiv:1706.03762",
    base=Config(
        task="recall(length=64,pairs=4,vocabulary=16)",
        model=Model(width=64),
        train=Train(
            steps=600,
            batch=32,
            eval_every=100,
            eval_batches=4,
            test_batches=32,
            stop_at=0.995,
        ),
    ),
    axes={"model.pattern": (LSTM, "conv,linear(heads=1)", DENSE)},
    population=Population(seed=(0, 1, 2), lr=(1.5e-3, 4e-3)),
    expectations=(
        Expectation(
            f"The recall of attention does not fall from gaps of up to {NEAR} to gaps "
            f"of {FAR} and more",
            lambda rows: level(rows, DENSE, fall),
            high=0.02,
            unit="accuracy",
            why="One answer of fifty.",
        ),
        Expectation(
            f"Attention recalls over gaps of {FAR} tokens and more",
            lambda rows: level(rows, DENSE, far),
            low=0.95,
            unit="accuracy",
            why="Solved: one answer of twenty may be wrong.",
        ),
        Expectation(
            "The recall of an LSTM falls more with the gap than that of attention",
            lambda rows: lead(rows, LSTM, DENSE, fall),
            low=0.1,
            unit="accuracy",
            why="One answer of ten.",
        ),
    ),
    confounds=(
        "The same sequences ask the same members for near and far values.",
        "All mixers share width, layers, the convolution below, data, steps, batch and "
        "learning rates; their numbers of parameters differ.",
    ),
    figure="by_gap",
)
FULL = variant(
    QUICK,
    base={
        "task": "recall(length=1024,pairs=16,vocabulary=256)",
        "train.steps": 20_000,
        "train.batch": 64,
        "train.eval_every": 1000,
    },
    population=Population(seed=(0, 1, 2, 3, 4), lr=(3e-4, 1e-3, 3e-3)),
)
STUDIES = {"quick": QUICK, "full": FULL}
