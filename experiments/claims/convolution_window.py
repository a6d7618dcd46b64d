"""Do convolutions see a window alone, and do depth and dilation widen it?

Symbols are to be written down again 11 tokens later. Six taps look 5 tokens back, in
two layers 10, which is one too few, and in four 20. Four convolutions of two taps, each
dilated to twice the distance of the one before, look 15 back in a single layer.

    python scripts/sweep.py --experiment=claims/convolution_window \\
        --out=runs/convolution_window --workers=2
    python scripts/report.py runs/convolution_window

Quick size, 2 minutes of one core: supported. Accuracy of two layers, one token too few,
0.133 (0.127 to 0.136), where a guess has 0.125; of four layers 0.868 more (0.864 to
0.873); of one dilated layer 1.000.
"""

from collections.abc import Sequence
from dataclasses import replace

from attn_research.analysis.statistics import (
    Interval,
    at_best_rate,
    by_seed,
    level,
    paired,
)
from attn_research.config import Config, Model, Population, Train
from attn_research.config import replace as change
from attn_research.study import Expectation, Row, Study

CONV, DILATED = "conv(width=6)", "dilated"
WIDE, FAR = "conv(width=60)", 'dilated(dilations="1,2,4,8,16,32,64,128")'
GUESS = 1 / 8


def at(rows: Sequence[Row], mixer: str, layers: int) -> list[Row]:
    """The rows of a mixer in so many layers."""
    own = [row for row in rows if row["mixer"] == mixer]
    return [row for row in own if row["model.layers"] == layers]


def accuracy(rows: Sequence[Row], mixer: str, layers: int) -> Interval:
    """The accuracy of a mixer in so many layers."""
    return level(at(rows, mixer, layers), mixer)


def gain(rows: Sequence[Row], mixer: str, few: int, many: int) -> Interval:
    """What more layers of a mixer gain, at equal seeds."""
    one, other = (by_seed(at_best_rate(at(rows, mixer, n))) for n in (many, few))
    return paired(one, other)


def expectations(conv: str, dilated: str) -> tuple[Expectation, ...]:
    """Of what a convolution reaches in four layers, a dilated one in one layer."""
    return (
        Expectation(
            "Four layers of a convolution, which reach it, recall more than two",
            lambda rows: gain(rows, conv, 2, 4),
            low=0.5,
            unit="accuracy",
        ),
        Expectation(
            "Two layers, whose reach is too short, guess",
            lambda rows: accuracy(rows, conv, 2),
            high=GUESS + 0.05,
            unit="accuracy",
        ),
        Expectation(
            "One dilated layer, which reaches it, recalls",
            lambda rows: accuracy(rows, dilated, 1),
            low=0.9,
            unit="accuracy",
        ),
    )


QUICK = Study(
    name="convolution_window",
    question="Do convolutions see a window alone, and do depth and dilation widen it?",
    claim="Convolutional networks see a window alone, and depth and dilation widen it.",
    source="Luo et al., 2016, arXiv:1701.04128; van den Oord et al., 2016, "
    "arXiv:1609.03499; Bai et al., 2018, arXiv:1803.01271",
    base=Config(
        task="copying(lag=7,count=4,symbols=8)",
        model=Model(width=32),
        train=Train(
            steps=1000,
            batch=32,
            eval_every=100,
            eval_batches=4,
            test_batches=16,
            stop_at=0.999,
        ),
    ),
    axes={"model.layers": (4, 2, 1), "model.pattern": (CONV, DILATED)},
    population=Population(seed=(0, 1, 2), lr=(2e-3, 4e-3)),
    expectations=expectations(CONV, DILATED),
    confounds=(
        "Width, data, steps, batch and learning rates are those of every cell.",
        "More layers have more parameters, and a dilated layer has four convolutions.",
    ),
    figure="quality_layers",
)
FULL = replace(
    QUICK,
    base=change(
        QUICK.base,
        {
            "task": "copying(lag=120,count=8,symbols=8)",
            "model.width": 128,
            "train.steps": 10_000,
            "train.eval_every": 1000,
        },
    ),
    axes={"model.layers": (4, 2, 1), "model.pattern": (WIDE, FAR)},
    expectations=expectations(WIDE, FAR),
    population=Population(seed=(0, 1, 2, 3, 4), lr=(3e-4, 1e-3, 3e-3)),
)
STUDIES = {"quick": QUICK, "full": FULL}
