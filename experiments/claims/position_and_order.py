"""Can attention tell order without positions, and is a causal mask enough?

The temporal order problem: which of X and Y came first, among distractors. An encoder
without positions sees a set, and can tell no more than what is in it, which decides
three of four cases. A causal mask makes the number of tokens before each visible.

    python scripts/sweep.py --experiment=claims/position_and_order \\
        --out=runs/position_and_order --workers=2
    python scripts/report.py runs/position_and_order

Quick size, 3 minutes of one core: supported. An encoder without positions is right in
0.759 (0.753 to 0.773) of the cases, where a set decides 0.75; with rotated positions,
and with a causal mask and none, in all.
"""

from collections.abc import Sequence
from dataclasses import replace

from attn_research.analysis.statistics import Interval, Row, level
from attn_research.config import Config, Model, Population, Train
from attn_research.config import replace as change
from attn_research.study import Expectation, Study

PLAIN, ROPE = "dense", "dense(positions=rope)"
SET = 0.75  # X and Y in one order or the other are a guess, X twice or Y twice are not


def accuracy(rows: Sequence[Row], causal: bool, mixer: str) -> Interval:
    """Accuracy of a mixer as a causal model or as an encoder."""
    told = str(causal).lower()
    return level([row for row in rows if row["task.causal"] == told], mixer)


QUICK = Study(
    name="position_and_order",
    question="Can attention tell order without positions, and is a causal mask enough?",
    claim="Without positions attention cannot tell order, unless a causal mask gives "
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
            "An encoder without positions knows what a set knows, and no more",
            lambda rows: accuracy(rows, False, PLAIN),
            low=SET - 0.05,
            high=SET + 0.05,
            unit="accuracy",
        ),
        Expectation(
            "With positions it tells order",
            lambda rows: accuracy(rows, False, ROPE),
            low=0.9,
            unit="accuracy",
        ),
        Expectation(
            "With a causal mask it tells order without positions",
            lambda rows: accuracy(rows, True, PLAIN),
            low=0.9,
            unit="accuracy",
        ),
    ),
    confounds=(
        "Parameters are the same with and without positions.",
        "Data, steps, batch and learning rates are those of every cell.",
    ),
)
FULL = replace(
    QUICK,
    base=change(
        QUICK.base, {"task": "temporal_order(length=100)", "train.steps": 10_000}
    ),
    population=Population(seed=(0, 1, 2, 3, 4), lr=(3e-4, 1e-3, 3e-3)),
)
STUDIES = {"quick": QUICK, "full": FULL}
