"""Can attention tell order without positions, and is a causal mask enough?

The temporal order problem: which of X and Y came first, among distractors. An encoder
without positions sees a set, whose content decides three of four cases. A causal mask
makes the number of tokens before each visible.

    python scripts/sweep.py --experiment=claims/position_and_order \\
        --out=runs/position_and_order --workers=2
    python scripts/report.py runs/position_and_order

Quick size, 3 minutes of one core: undecided, as three seeds leave the accuracy of an
encoder without positions between 0.731 and 0.829 (mean 0.759); a set is right in 0.75.
With rotary positions, or with a causal mask and no positions, all cases are right.
"""

from collections.abc import Sequence

from attn_research.analysis.statistics import Interval, Row, level
from attn_research.config import Config, Model, Population, Train
from attn_research.studies.study import Expectation, Study, variant

PLAIN, ROPE = "dense", "dense(positions=rope)"
SET = 0.75  # a set decides X twice and Y twice, and guesses the order of X and Y


def accuracy(rows: Sequence[Row], causal: bool, mixer: str) -> Interval:
    """Accuracy of a mixer as a causal model or as an encoder."""
    asked = str(causal).lower()
    return level([row for row in rows if row["task.causal"] == asked], mixer)


QUICK = Study(
    name="position_and_order",
    question="Can attention tell order without positions, and is a causal mask enough?",
    claim="Without positions, attention cannot tell order unless a causal mask gives "
    "it away.",
    source="Vaswani et al., 2017, arXiv:1706.03762; Haviv et al., 2022, "
    "arXiv:2203.16634",
    base=Config(
        task="temporal_order(length=20)",
        model=Model(width=64, mlp="gelu", mlp_ratio=2.0),
        train=Train(
            steps=600,
            batch=64,
            eval_every=100,
            eval_batches=4,
            test_batches=16,
            stop_at=0.999,
        ),
    ),
    axes={"task.causal": ("false", "true"), "model.pattern": (PLAIN, ROPE)},
    population=Population(seed=(0, 1, 2), lr=(1e-3, 3e-3)),
    expectations=(
        Expectation(
            "An encoder without positions is only as accurate as a set allows",
            lambda rows: accuracy(rows, False, PLAIN),
            low=SET - 0.05,
            high=SET + 0.05,
            unit="accuracy",
            why="What the symbols without their order tell; 0.05 for the test.",
        ),
        Expectation(
            "An encoder with positions tells order",
            lambda rows: accuracy(rows, False, ROPE),
            low=0.9,
            unit="accuracy",
            why="Solved: one answer of ten may be wrong.",
        ),
        Expectation(
            "A causal model without positions tells order",
            lambda rows: accuracy(rows, True, PLAIN),
            low=0.9,
            unit="accuracy",
            why="Solved: one answer of ten may be wrong.",
        ),
    ),
    confounds=(
        "The parameters are the same with and without positions.",
        "All cells share data, steps, batch and learning rates.",
    ),
)
FULL = variant(
    QUICK,
    base={"task": "temporal_order(length=100)", "train.steps": 10_000},
    population=Population(seed=(0, 1, 2, 3, 4), lr=(3e-4, 1e-3, 3e-3)),
)
STUDIES = {"quick": QUICK, "full": FULL}
