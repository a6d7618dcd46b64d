"""Do gradients vanish with distance in recurrent networks, but not in attention?

One layer of each mixer learns the temporal order problem, whose answer depends on two
symbols 30 to 90 tokens back. The norm of the derivative of the output at t by the input
at t - k falls, or grows, as exp(-rate k); the rate is fitted to every member, trained
and untrained.

    python scripts/sweep.py --experiment=claims/gradients_by_distance \\
        --out=runs/gradients_by_distance --workers=2
    python scripts/report.py runs/gradients_by_distance

Quick size, 9 minutes of one core: undecided. The rates per token:

    a plain recurrence, trained                      0.953 (0.800 to 1.189)
    a plain recurrence less an LSTM, untrained       0.318 (0.147 to 0.521)
    attention, trained (expected: at most 0.01)      0.0139 (0.0060 to 0.0302)

The gradient of the plain recurrence loses three fifths at every token, that of
attention a half in 50 tokens. In 300 steps no LSTM learned the task, and one GRU a part
of it; in 2,000 three LSTMs of six do, one GRU, no plain recurrence, and attention
always.
"""

from collections.abc import Sequence
from functools import partial

from attn_research.analysis.cache import cached_by_member
from attn_research.analysis.statistics import Interval, lead, level
from attn_research.config import Config, Model, Population, Train
from attn_research.studies.study import Expectation, Row, Study, variant

DENSE = "dense(positions=rope)"
SEQUENCES, PROBES = 4, 2


@cached_by_member
def fitted(directory: str, member: int, trained: bool) -> tuple[float]:
    """The rate per token with which the gradient of a member falls with distance."""
    from attn_research import load
    from attn_research.analysis import by_distance, decay, output_energy, untrained
    from attn_research.analysis.subject import of_split

    restored = load(directory, member)
    restored = restored if trained else untrained(restored)
    seen = of_split(restored, "test", SEQUENCES, 128)
    energy_BTS = output_energy(restored, seen.inputs_B, seen.segments_BT, probes=PROBES)
    energy_BK = by_distance(energy_BTS, seen.places_BT, causal=seen.causal)
    return (decay(energy_BK).mean,)


def rate(row: Row, trained: bool = True) -> float:
    """The rate per token with which the gradient of a row's member falls."""
    return fitted(row["directory"], row["member"], trained)[0]


def less(rows: Sequence[Row], mixer: str) -> Interval:
    """How much faster the gradient falls in a plain recurrence, both untrained."""
    return lead(rows, "rnn", mixer, partial(rate, trained=False))


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
            steps=2000, batch=32, eval_every=200, eval_batches=2, test_batches=4
        ),
    ),
    axes={"model.pattern": ("rnn", "lstm", "gru", DENSE)},
    population=Population(seed=(0, 1, 2), lr=(1e-3, 5e-3)),
    expectations=(
        Expectation(
            "After training, the gradient of a plain recurrence falls with distance",
            lambda rows: level(rows, "rnn", rate),
            low=0.01,
            unit="per token",
        ),
        Expectation(
            "Before training, the gradient of a plain recurrence falls faster than "
            "that of an LSTM",
            lambda rows: less(rows, "lstm"),
            low=0.0,
            unit="per token",
        ),
        Expectation(
            "After training, the gradient of attention neither falls nor grows with "
            "distance",
            lambda rows: level(rows, DENSE, rate),
            low=-0.01,
            high=0.01,
            unit="per token",
        ),
    ),
    confounds=(
        "All mixers share width, layers, data, steps, batch and learning rates; their "
        "numbers of parameters differ.",
        "The gradient is that of the whole model, at the same test sequences.",
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
