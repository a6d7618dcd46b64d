"""How few attention layers restore the recall of a recurrent stack?

Four layers, of which none, one, two or all are attention and the others a gated
diagonal recurrence.

    python scripts/sweep.py --experiment=claims/hybrid_fraction \\
        --out=runs/hybrid_fraction --workers=2 --widen
    python scripts/report.py runs/hybrid_fraction

Quick size, 21 minutes of one core: supported. With one attention layer in four, the
third, every seed recalls everything at its better rate:

    accuracy over that of no attention layer      0.704 (0.696 to 0.713)
    accuracy below that of four of them           0.0002 (-0.0002 to 0.0004)
    decoding state over that of four of them      0.264

At the other rate, twice as high, two seeds of four do not; in 1,200 steps one of three
did.
"""

from collections.abc import Sequence

from attn_research.analysis.statistics import lead, level
from attn_research.config import Config, Model, Population, Train
from attn_research.studies.study import Expectation, Gate, Row, Study, variant

DENSE, NONE = "dense(positions=rope)", "diagonal"
HALF = f"{NONE},{DENSE}"
QUARTER = f"{NONE},{NONE},{DENSE},{NONE}"


def state(rows: Sequence[Row]) -> float:
    """The decoding state of one attention layer in four, over that of four in four."""
    held = {row["mixer"]: float(row["state_bytes"]) for row in rows}
    return held[QUARTER] / held[DENSE]


QUICK = Study(
    name="hybrid_fraction",
    question="How few attention layers restore the recall of a recurrent stack?",
    claim="A few attention layers among recurrent ones restore recall at a fraction of "
    "the cost.",
    source="De et al., 2024, arXiv:2402.19427; Lieber et al., 2024, arXiv:2403.19887; "
    "Waleffe et al., 2024, arXiv:2406.07887",
    base=Config(
        task="recall(length=48,pairs=8,vocabulary=64)",
        model=Model(width=64, layers=4, stem="conv"),
        train=Train(
            steps=2400,
            batch=32,
            eval_every=200,
            eval_batches=4,
            test_batches=16,
            stop_at=0.995,
        ),
    ),
    axes={"model.pattern": (NONE, QUARTER, HALF, DENSE)},
    population=Population(seed=(0, 1, 2, 3), lr=(1.5e-3, 3e-3)),
    gates=(
        Gate(
            "Attention in every layer recalls",
            lambda rows: level(rows, DENSE),
            low=0.9,
            unit="accuracy",
            control="positive",
            why="What is to be restored is there.",
        ),
        Gate(
            "Without attention, recall falls short",
            lambda rows: level(rows, NONE),
            high=0.8,
            unit="accuracy",
            control="negative",
            why="There is a tenth or more to restore.",
        ),
    ),
    expectations=(
        Expectation(
            "One attention layer in four recalls more than none",
            lambda rows: lead(rows, QUARTER, NONE),
            low=0.1,
            unit="accuracy",
            why="A tenth of the answers: what is restored can be seen.",
        ),
        Expectation(
            "One attention layer in four recalls as much as attention in every layer",
            lambda rows: lead(rows, QUARTER, DENSE),
            low=-0.05,
            unit="accuracy",
            why="As much: one answer of twenty.",
        ),
        Expectation(
            "One attention layer in four decodes with at most a third of the state of "
            "attention in every layer",
            state,
            high=1 / 3,
            why="A third lies between a quarter, the share of the layers, and a half.",
        ),
    ),
    confounds=(
        "All mixers share width, layers, the convolution below, data, steps, batch and "
        "learning rates; their numbers of parameters differ.",
    ),
    figure="cost_state_bytes",
)
FULL = variant(
    QUICK,
    base={
        "task": "recall(length=512,pairs=32,vocabulary=1024)",
        "model.layers": 8,
        "train.steps": 20_000,
        "train.batch": 128,
        "train.eval_every": 1000,
    },
    population=Population(seed=(0, 1, 2), lr=(3e-4, 1e-3, 3e-3)),
)
STUDIES = {"quick": QUICK, "full": FULL}
