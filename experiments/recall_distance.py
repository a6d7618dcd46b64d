r"""Does recall depend on distance?

Multi-query recall with pairs and queries anywhere, so that the distance from a query
back to its value runs from one token to the whole sequence. Attention reaches every
distance at one cost, a window only its own, a recurrence what its state still holds, a
convolution its kernel.

    python scripts/sweep.py --experiment=recall_distance --scale=nano --seed=0,1,2 \
        --out=runs/recall_distance --workers=2
    python scripts/report.py runs/recall_distance

At this scale, 3.5 minutes of processor time, mean accuracy of three seeds (chance
0.125); all three expectations hold:

    dense, conv,dense         1.000, at least 0.998 at every gap
    window of 8               1.000 within its reach, 0.126 beyond
    lstm                      0.82 at a gap of 1, 0.28 beyond 16
    linear                    0.83 at a gap of 1, 0.31 beyond 16
    two convolutions of 4     at chance from a gap of 8 on

Without --scale the quick size tries two rates with two seeds.
"""

import math
from collections.abc import Sequence
from operator import attrgetter

from attn_research.analysis.statistics import UNKNOWN, Interval, inside, level
from attn_research.config import Config, Model, Population, Train
from attn_research.studies.study import Expectation, Row, Study, variant

DENSE, WIDE = "dense(positions=rope)", 8
WINDOW = f"window(window={WIDE},positions=rope)"


def accuracy(rows: Sequence[Row], mixer: str, low: int, high: float) -> Interval:
    """Accuracy over gaps from low to high at the worst length, over seeds.

    The learning rate is the one best in validation.
    """
    rows = [row for row in rows if row["mixer"] == mixer]
    levels = [
        level(
            [row for row in rows if row["task.length"] == length],
            mixer,
            lambda row: inside(row, "by_gap", "accuracy", low, high),
        )
        for length in {row["task.length"] for row in rows}
    ]
    known = [one for one in levels if not math.isnan(one.mean)]
    return min(known, key=attrgetter("mean"), default=UNKNOWN)


def beyond(rows: Sequence[Row]) -> Interval:
    """Accuracy of the window beyond its reach: a layer sees WIDE - 1 tokens back."""
    layers = max(row["model.layers"] for row in rows)
    return accuracy(rows, WINDOW, layers * (WIDE - 1) + 1, math.inf)


QUICK = Study(
    name="recall_distance",
    question="Does recall depend on the distance to what is recalled?",
    claim="Attention recalls at every distance; other mixers lose what lies far back.",
    base=Config(
        task="recall(length=32,pairs=4,vocabulary=16)",
        model=Model(width=64),
        train=Train(
            steps=500,
            batch=48,
            eval_every=100,
            eval_batches=4,
            test_batches=32,
            stop_at=0.995,
        ),
    ),
    axes={
        "task.length": (32,),
        "model.pattern": (
            DENSE,
            WINDOW,
            "lstm",  # the slow ones first: two workers end together
            "linear(heads=1)",
            "conv",
            "conv,dense",
        ),
    },
    population=Population(seed=(0, 1), lr=(1.5e-3, 4e-3)),
    expectations=(
        Expectation(
            "Dense attention recalls at every gap",
            lambda rows: accuracy(rows, DENSE, 1, math.inf),
            low=0.9,
            why="Solved: one answer of ten may be wrong.",
        ),
        Expectation(
            f"A window of {WIDE} recalls within its reach",
            lambda rows: accuracy(rows, WINDOW, 1, WIDE - 1),
            low=0.9,
            why="Solved: one answer of ten may be wrong.",
        ),
        Expectation(
            f"A window of {WIDE} fails beyond its reach",
            beyond,
            high=0.5,
            why="Not solved: half of the answers or fewer.",
        ),
    ),
)

FULL = variant(
    QUICK,
    base={
        "task": "recall(length=256,pairs=16,vocabulary=1024)",
        "train.batch": 64,
        "train.steps": 20_000,
        "train.eval_every": 1000,
    },
    axes={**QUICK.axes, "task.length": (128, 256, 512, 1024)},
    population=Population(seed=(0, 1, 2, 3), lr=(3e-4, 1e-3, 3e-3, 1e-2)),
)
STUDIES = {"quick": QUICK, "full": FULL}
