"""How much of the gap between attention and a state space is the learning rate?

Attention, a selective state space and an implicit long convolution, each above a short
convolution, recall pairs at five learning rates, a factor of about three apart. The gap
to attention is measured twice: with the one rate that is best for attention, and with
the best rate of each. What lies between is the rate's. How narrow the window is: what a
mixer loses on the average over all rates.

    python scripts/sweep.py --experiment=claims/rate_window --out=runs/rate_window \\
        --workers=2
    python scripts/report.py runs/rate_window

Quick size, 5 minutes of one core: refuted. Attention solves the task at 3e-3 and 1e-2;
at their own best rates the state space recalls 0.46 and the long convolution 0.45.
Of these gaps the rate explains 0.009 (0.002 to 0.020) and 0.008 (0 to 0.018). Over all
five rates it is attention that loses most of its best: 0.212 (0.190 to 0.245) and 0.154
(0.134 to 0.184) more, of which it has more to lose.
"""

from collections.abc import Sequence
from dataclasses import replace

from attn_research.analysis.statistics import (
    Interval,
    at_best_rate,
    by_seed,
    paired,
    robustness,
)
from attn_research.config import Config, Model, Population, Train
from attn_research.config import replace as change
from attn_research.study import Expectation, Row, Study

DENSE, MAMBA, HYENA = "conv,dense", "conv,mamba", "conv,hyena"


def of(rows: Sequence[Row], mixer: str) -> list[Row]:
    """The rows of a mixer."""
    return [row for row in rows if row["mixer"] == mixer]


def owed(rows: Sequence[Row], mixer: str) -> Interval:
    """What a mixer gains by its own best rate over the best one of attention."""
    own, rate = of(rows, mixer), at_best_rate(of(rows, DENSE))[0]["lr"]
    foreign = [row for row in own if row["lr"] == rate]
    return paired(by_seed(at_best_rate(own)), by_seed(foreign))


def lost(rows: Sequence[Row], mixer: str) -> dict[int, float]:
    """Seed -> what the average over all rates has less than the best rate."""
    own = of(rows, mixer)
    area = {
        seed: robustness([row for row in own if row["seed"] == seed]).mean
        for seed in {row["seed"] for row in own}
    }
    best = by_seed(at_best_rate(own))
    return {seed: value - area[seed] for seed, value in best.items()}


def narrower(rows: Sequence[Row], mixer: str) -> Interval:
    """How much more a mixer loses over the rates than attention does."""
    return paired(lost(rows, mixer), lost(rows, DENSE))


QUICK = Study(
    name="rate_window",
    question="How much of the gap between attention and a state space is the learning "
    "rate?",
    claim="The window of good learning rates explains a part of published gaps between "
    "mixers: that of attention is wide.",
    source="Okpekpe & Orvieto, 2025, arXiv:2508.19029; Arora et al., 2023, "
    "arXiv:2312.04927",
    base=Config(
        task="recall(length=32,pairs=4,vocabulary=32)",
        model=Model(width=32),
        train=Train(
            steps=500, batch=32, eval_every=250, eval_batches=8, test_batches=16
        ),
    ),
    axes={"model.pattern": (MAMBA, HYENA, DENSE)},
    population=Population(seed=(0, 1, 2), lr=(3e-4, 1e-3, 3e-3, 1e-2, 3e-2)),
    expectations=(
        Expectation(
            "A selective state space gains by its own best rate over the best one of "
            "attention",
            lambda rows: owed(rows, MAMBA),
            low=0.02,
            unit="accuracy",
        ),
        Expectation(
            "So does a long convolution",
            lambda rows: owed(rows, HYENA),
            low=0.02,
            unit="accuracy",
        ),
        Expectation(
            "Over all rates a selective state space loses more of its best than "
            "attention",
            lambda rows: narrower(rows, MAMBA),
            low=0.0,
            unit="accuracy",
        ),
        Expectation(
            "So does a long convolution, over all rates",
            lambda rows: narrower(rows, HYENA),
            low=0.0,
            unit="accuracy",
        ),
    ),
    confounds=(
        "The rates tried, the convolution below, width, layers, data, steps and batch "
        "are those of every mixer; parameters are not.",
        "Validation chooses a rate and the test split measures it.",
    ),
    figure="learning_rate",
)
FULL = replace(
    QUICK,
    base=change(
        QUICK.base,
        {
            "task": "mqar(length=256,pairs=16)",
            "model.width": 128,
            "train.steps": 20_000,
            "train.batch": 128,
            "train.eval_every": 1000,
        },
    ),
    axes={
        "model.pattern": (
            *QUICK.axes["model.pattern"],
            "conv,gated_delta",
            "conv,mamba2",
        )
    },
    population=Population(
        seed=(0, 1, 2, 3, 4), lr=(1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
    ),
)
STUDIES = {"quick": QUICK, "full": FULL}
