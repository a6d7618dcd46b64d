"""Is recall in linear attention bounded by its state, and does the delta rule use more?

A short convolution, then linear attention or the delta rule with a state of one size:
one head of 64 x 64 numbers, or eight of 8 x 8. Few pairs fit into either, many only
into the larger.

    python scripts/sweep.py --experiment=claims/state_capacity \\
        --out=runs/state_capacity --workers=2
    python scripts/report.py runs/state_capacity

Quick size, 13 minutes of one core: undecided. Of twelve pairs the delta rule recalls
0.037 more than linear attention with the same small state (-0.094 to 0.241: one seed of
three), linear attention 0.169 more with the larger one (0.025 to 0.269). Of two pairs
the larger state holds 0.993. After 600 steps nothing of small state had learned enough.
"""

from collections.abc import Sequence
from dataclasses import replace

from attn_research.analysis.statistics import Interval, Row, lead, level
from attn_research.config import Config, Model, Population, Train
from attn_research.config import replace as change
from attn_research.study import Expectation, Study

LARGE, SMALL = "conv,linear(heads=1)", "conv,linear(heads=8)"
DELTA, LITTLE = "conv,delta(heads=1,conv=0)", "conv,delta(heads=8,conv=0)"
FEW, MANY = 2, 12


def at(rows: Sequence[Row], pairs: int) -> list[Row]:
    """The rows that recall so many pairs."""
    return [row for row in rows if row["task.pairs"] == pairs]


def gain(rows: Sequence[Row], first: str, second: str) -> Interval:
    """How much more of many pairs one mixer recalls than another, at equal seeds."""
    return lead(at(rows, MANY), first, second)


QUICK = Study(
    name="state_capacity",
    question="Is recall in linear attention bounded by its state, and does the delta "
    "rule use more of it?",
    claim="What linear attention recalls is bounded by its state, and the delta rule "
    "recalls more with the same state.",
    source="Schlag et al., 2021, arXiv:2102.11174; Arora et al., 2024, "
    "arXiv:2402.18668; Yang et al., 2024, arXiv:2406.06484",
    base=Config(
        task="recall(length=48,pairs=12,vocabulary=64)",
        model=Model(width=64),
        train=Train(
            steps=1200,
            batch=32,
            eval_every=100,
            eval_batches=4,
            test_batches=16,
            stop_at=0.995,
        ),
    ),
    axes={
        "task.pairs": (FEW, MANY),
        "model.pattern": (LARGE, SMALL, DELTA, LITTLE),
    },
    population=Population(seed=(0, 1, 2), lr=(1.5e-3, 3e-3)),
    expectations=(
        Expectation(
            "The delta rule recalls more of many pairs than linear attention with the "
            "same small state",
            lambda rows: gain(rows, LITTLE, SMALL),
            low=0.02,
            unit="accuracy",
        ),
        Expectation(
            "Linear attention recalls more of many pairs with the larger state",
            lambda rows: gain(rows, LARGE, SMALL),
            low=0.02,
            unit="accuracy",
        ),
        Expectation(
            "Few pairs fit into the larger state",
            lambda rows: level(at(rows, FEW), LARGE),
            low=0.9,
            unit="accuracy",
        ),
    ),
    confounds=(
        "The state matrices of both mixers are of one size for one number of heads; "
        "linear attention also keeps the sum of its keys.",
        "Width, the convolution below, data, steps and learning rates are equal; the "
        "delta rule has one more projection, to a number per head.",
    ),
)
FULL = replace(
    QUICK,
    base=change(
        QUICK.base,
        {
            "task": "recall(length=512,pairs=64,vocabulary=1024)",
            "train.steps": 20_000,
            "train.batch": 128,
            "train.eval_every": 1000,
        },
    ),
    axes={**QUICK.axes, "task.pairs": (FEW, MANY, 32, 128)},
    population=Population(seed=(0, 1, 2), lr=(3e-4, 1e-3, 3e-3, 1e-2)),
)
STUDIES = {"quick": QUICK, "full": FULL}
