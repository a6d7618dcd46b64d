"""Do gradients vanish with distance in recurrent networks, but not in attention?

One layer of each mixer learns the temporal order problem, whose answer depends on two
symbols 30 to 90 tokens back. At the output that answers, the norm of the derivative by
the input k tokens back falls, or grows, as exp(-rate k); the rate is fitted to every
member, trained and untrained, as far back as the norm exceeds rounding.

    python scripts/sweep.py --experiment=claims/gradients_by_distance \\
        --out=runs/gradients_by_distance --workers=2 --widen
    python scripts/report.py runs/gradients_by_distance

Quick size, 20 minutes of one core: supported. The rates per token:

    a plain recurrence, trained                      0.962 (0.834 to 1.233)
    a plain recurrence less an LSTM, untrained       0.313 (0.162 to 0.537)
    a plain recurrence less an LSTM, trained         0.868 (0.436 to 1.152)
    attention, untrained                            -0.001 (-0.0015 to 0.0000)
    attention, trained                              -0.005 (-0.013 to -0.001)

From inputs 70 to 90 tokens back, where the first symbol may be, the gradient of trained
attention is 9.5 times that from the last ten (6.8 to 15), that of a plain recurrence
1e-14 of it. Attention always learns the task, an LSTM and a GRU for some seeds and
rates, a plain recurrence never, nor a window of 16 tokens, which sees no symbol.
Averaged over all outputs instead, the gradient of attention that is blind to distance
would fall by 0.015 per token.
"""

import math
from collections.abc import Sequence

import numpy as np

from attn_research.analysis.cache import cached_by_member
from attn_research.analysis.statistics import lead, level, mean_interval, paired
from attn_research.config import Config, Model, Population, Train
from attn_research.studies.study import Expectation, Gate, Row, Study, variant

DENSE, WINDOW = "dense(positions=rope)", "window(window=16)"
SEQUENCES = 16
NEAR, FAR = (1, 10), (70, 90)  # tokens before the answer
TINY = 1e-30  # an energy below every rounding error


@cached_by_member
def fitted(directory: str, member: int, trained: bool) -> tuple[float, float]:
    """At the output that answers: the rate per token with which the gradient of a
    member falls with distance, and log10 of its norm far back over that nearby."""
    from attn_research import load
    from attn_research.analysis import by_distance, decay, output_energy, untrained
    from attn_research.analysis.subject import of_split

    restored = load(directory, member)
    restored = restored if trained else untrained(restored)
    seen = of_split(restored, "test", SEQUENCES, 128)
    assert seen.batch is not None
    at_BN = np.argmax(np.asarray(seen.batch.weights) > 0, axis=1)[:, None]
    energy_BNS = output_energy(restored, seen.inputs_B, seen.segments_BT, at_BN=at_BN)
    energy_BK = by_distance(energy_BNS, seen.places_BT, at_BN=at_BN)
    near, far = (mean(energy_BK[:, slice(*ends)]) for ends in (NEAR, FAR))
    return decay(energy_BK).mean, 0.5 * math.log10(max(far, TINY) / max(near, TINY))


def mean(energy_BK: np.ndarray) -> float:
    """The mean over the distances that there are; NaN if there are none."""
    known = energy_BK[np.isfinite(energy_BK)]
    return float(known.mean()) if known.size else math.nan


def rate(row: Row, trained: bool = True) -> float:
    """The rate per token with which the gradient of a row's member falls."""
    return fitted(row["directory"], row["member"], trained)[0]


def change(row: Row) -> float:
    """The size of that rate: a gradient vanishes, or it explodes."""
    return abs(rate(row))


def far(row: Row) -> float:
    """log10 of the norm far back over that nearby, trained."""
    return fitted(row["directory"], row["member"], True)[1]


def before(rows: Sequence[Row], mixer: str) -> dict[int, float]:
    """Seed -> the rate of an untrained member, the same at any learning rate."""
    own = [row for row in rows if row["mixer"] == mixer]
    first = min((row["lr"] for row in own), default=0.0)
    untrained = [row for row in own if row["lr"] == first]
    return {row["seed"]: rate(row, trained=False) for row in untrained}


QUICK = Study(
    name="gradients_by_distance",
    question="Do gradients vanish with distance in recurrent networks, but not in "
    "attention?",
    claim="Gradients of recurrent networks vanish or explode with distance, those of "
    "gated ones less so, and those of attention do not.",
    source="Bengio et al., 1994, doi:10.1109/72.279181; Hochreiter & Schmidhuber, 1997",
    base=Config(
        task="temporal_order(length=90)",
        model=Model(width=32, layers=1),
        train=Train(
            steps=2000, batch=32, eval_every=200, eval_batches=2, test_batches=32
        ),
    ),
    axes={"model.pattern": ("rnn", "lstm", "gru", DENSE, WINDOW)},
    population=Population(seed=(0, 1, 2), lr=(1e-3, 5e-3)),
    gates=(
        Gate(
            "Attention learns the task",
            lambda rows: level(rows, DENSE),
            low=0.9,
            unit="accuracy",
            control="positive",
            why="The reference can use what is 30 to 90 tokens back.",
        ),
        Gate(
            "A window of 16 tokens, which cannot see the symbols, guesses",
            lambda rows: level(rows, WINDOW),
            high=0.35,
            unit="accuracy",
            control="negative",
            why="Chance is 0.25; above 0.35 something nearby would tell the answer.",
        ),
    ),
    expectations=(
        Expectation(
            "After training, the gradient of a plain recurrence falls or grows",
            lambda rows: level(rows, "rnn", change),
            low=0.05,
            unit="per token",
            part="plain recurrence",
            why="At 5 % per token 0.02 is left of a gradient at 80 tokens.",
        ),
        Expectation(
            "Before training, the gradient of a plain recurrence falls faster than "
            "that of an LSTM",
            lambda rows: paired(before(rows, "rnn"), before(rows, "lstm")),
            low=0.0,
            unit="per token",
            part="gates",
            why="Less so: any difference of the rates.",
        ),
        Expectation(
            "After training, the gradient of a plain recurrence falls faster than "
            "that of an LSTM",
            lambda rows: lead(rows, "rnn", "lstm", rate),
            low=0.0,
            unit="per token",
            part="gates",
            why="Less so: any difference of the rates.",
        ),
        Expectation(
            "Before training, the gradient of attention neither falls nor grows",
            lambda rows: mean_interval(list(before(rows, DENSE).values())),
            low=-0.01,
            high=0.01,
            unit="per token",
            part="attention",
            why="At 1 % per token a half is left at 70 tokens.",
        ),
        Expectation(
            "After training, the gradient of attention does not fall",
            lambda rows: level(rows, DENSE, rate),
            high=0.01,
            unit="per token",
            part="attention",
            why="As before training; it may grow towards what decides the answer.",
        ),
        Expectation(
            "After training, the gradient of attention 70 to 90 tokens back is that "
            "nearby or larger",
            lambda rows: level(rows, DENSE, far),
            low=0.0,
            unit="powers of ten",
            decides=False,
            why="What decides the answer is far back.",
        ),
        Expectation(
            "After training, that of a plain recurrence is a hundredth or less",
            lambda rows: level(rows, "rnn", far),
            high=-2.0,
            unit="powers of ten",
            decides=False,
            why="It is lost beside what is nearby.",
        ),
    ),
    confounds=(
        "All mixers share width, layers, data, steps, batch and learning rates; their "
        "numbers of parameters differ. The forget gate of the LSTM begins with a bias "
        "of 1.",
        "The gradient is that of the whole model at the output that answers, at the "
        "same test sequences. A mean over all outputs would fall for attention that "
        "is blind to distance: an output at t divides by t, and what is far back is "
        "seen from large t alone.",
    ),
)
FULL = variant(
    QUICK,
    base={
        "task": "temporal_order(length=110)",
        "model.width": 256,
        "train.steps": 10_000,
        "train.eval_every": 1000,
    },
    population=Population(seed=(0, 1, 2, 3, 4), lr=(3e-4, 1e-3, 3e-3)),
)
STUDIES = {"quick": QUICK, "full": FULL}
