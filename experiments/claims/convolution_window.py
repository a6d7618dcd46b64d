"""Do convolutions see a window alone, and do depth and dilation widen it?

Symbols are to be written down again 11 tokens later. Six taps look 5 tokens back, in
two layers 10, which is one too few, and in four 20. Four convolutions of two taps, each
dilated to twice the distance of the one before, look 15 back in a single layer.

The window is also measured on the checkpoints, as they are and as they were drawn: the
energy of the gradient of an output by the inputs at every distance, at random tokens.

    python scripts/sweep.py --experiment=claims/convolution_window \\
        --out=runs/convolution_window --workers=2
    python scripts/report.py runs/convolution_window

Quick size, 4 minutes of one core: undecided, and all but one prediction holds. Accuracy
of two layers, one token too few, 0.126 (0.125 to 0.128), where a guess has 0.125; of
four layers 0.874 more (0.872 to 0.875); of one dilated layer 1.000. Nothing comes from
beyond what is reached, and four layers see 4 times as far as one, but as drawn the
distance of what they see grows 2.05 times (1.94 to 2.17), as with the root of their
number. Whether training widens that stays open: by -0.05 tokens (-0.16 to 0.06).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from attn_research.analysis.remembered import of_members
from attn_research.analysis.statistics import (
    Interval,
    at_best_rate,
    bootstrap,
    by_seed,
    level,
    paired,
)
from attn_research.config import Config, Model, Population, Train
from attn_research.config import replace as change
from attn_research.study import Expectation, Row, Study

CONV, DILATED = "conv(width=6)", "dilated"
WIDE, FAR = "conv(width=60)", 'dilated(dilations="1,2,4,8,16,32,64,128")'
GUESSES = 8
# Of the gradients: more tokens than any of them reaches, and the last few outputs.
SEQUENCES, TOKENS, OUTPUTS, PROBES = 2, 320, 4, 2


class Field(NamedTuple):
    """Distances in tokens, but for the share of the energy from beyond the reach."""

    beyond: float
    farthest: float
    spread: float


@of_members
def field(directory: str, member: int, trained: bool) -> Field:
    """What moves the outputs of a member, as it is or as it was drawn."""
    from attn_research import load
    from attn_research.analysis import (
        by_distance,
        furthest,
        output_energy,
        reachable,
        spread,
        untrained,
    )

    restored = load(directory, member)
    restored = restored if trained else untrained(restored)
    draw = np.random.default_rng(0)
    tokens_BT = draw.integers(1, GUESSES + 1, (SEQUENCES, TOKENS))
    at_BN = np.tile(TOKENS - 1 - np.arange(OUTPUTS), (SEQUENCES, 1))
    energy_BNT = output_energy(restored, tokens_BT, probes=PROBES, at_BN=at_BN)
    energy_K = np.nanmean(by_distance(energy_BNT, at_BN=at_BN), axis=0)
    reach = furthest(reachable(restored, TOKENS))[-1]
    return Field(
        energy_K[reach + 1 :].sum() / energy_K.sum(),
        np.flatnonzero(energy_K)[-1],
        spread(energy_K[None])[0],
    )


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


def seen(
    rows: Sequence[Row], mixer: str, layers: int, what: str, trained: bool = True
) -> dict[int, float]:
    """Seed -> a number of the field of a mixer in so many layers."""

    def measure(row: Row) -> float:
        found = field(row["directory"], row["member"], trained)
        return found[Field._fields.index(what)]

    return by_seed(at_best_rate(at(rows, mixer, layers)), measure)


def beyond(rows: Sequence[Row], *mixers: str) -> Interval:
    """The energy from beyond the reach of any member, before and after training."""
    return bootstrap(
        [
            share
            for mixer in mixers
            for layers in (1, 2, 4)
            for trained in (True, False)
            for share in seen(rows, mixer, layers, "beyond", trained).values()
        ]
    )


def wider(rows: Sequence[Row], mixer: str, what: str, trained: bool = True) -> Interval:
    """How many times as far four layers see as one, at equal seeds."""
    four, one = (seen(rows, mixer, layers, what, trained) for layers in (4, 1))
    return bootstrap([four[seed] / one[seed] for seed in four.keys() & one.keys()])


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
            high=1 / GUESSES + 0.05,
            unit="accuracy",
        ),
        Expectation(
            "One dilated layer, which reaches it, recalls",
            lambda rows: accuracy(rows, dilated, 1),
            low=0.9,
            unit="accuracy",
        ),
        Expectation(
            "Nothing moves an output from beyond what taps, dilations and layers reach",
            lambda rows: beyond(rows, conv, dilated),
            high=0.0,
            unit="of the energy",
        ),
        Expectation(
            "Four layers of a convolution see four times as far as one",
            lambda rows: wider(rows, conv, "farthest"),
            low=4.0,
            high=4.0,
            unit="times",
        ),
        Expectation(
            "but most of what they see is nearer: as drawn, the distance that the "
            "energy comes from grows with the root of the layers",
            lambda rows: wider(rows, conv, "spread", trained=False),
            low=1.5,
            high=3.0,
            unit="times",
        ),
        Expectation(
            "Training widens what four layers see",
            lambda rows: paired(
                seen(rows, conv, 4, "spread"), seen(rows, conv, 4, "spread", False)
            ),
            low=0.0,
            unit="tokens",
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
    population=Population(seed=tuple(range(32)), lr=(2e-3, 4e-3)),
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
