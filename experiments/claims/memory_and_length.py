"""Does attention take less memory than recurrence, and are longer sequences free?

Popular texts say both. Attention, once as it is written down and once in blocks, and an
LSTM train for a few steps at every length. The study measures the peak memory of the
program, the time of a step, and the decoding state after that many tokens.

    python scripts/sweep.py --experiment=claims/memory_and_length \\
        --out=runs/memory_and_length
    python scripts/report.py runs/memory_and_length

Quick size, 1 minute of one core: mixed. Attention compared with an LSTM, the mean over
the lengths, from 256 to 4,096 tokens, and the range:

    training memory, as written down     3.9 times (0.8 to 9.8)
    training memory, in blocks           0.57 times (0.47 to 0.67)
    decoding state                       1,587 times (256 to 4,096)

That attention trains in less memory holds in blocks; with all scores it depends on the
length. That it decodes in less is refuted, and that longer sequences cost nothing more:
the decoding state grows with the power 1 of the length, the time of a step with 1.54
(1.37 to 1.71).
"""

from collections.abc import Sequence
from statistics import fmean

from attn_research.analysis.statistics import UNKNOWN, Interval, growth
from attn_research.config import Config, Model, Population, Train
from attn_research.studies.study import Expectation, Row, Study, variant

NAIVE, BLOCKS = "dense(implementation=naive,heads=1)", "dense(heads=1)"
LSTM = "lstm"


def times(rows: Sequence[Row], mixer: str, cost: str) -> Interval:
    """The cost of a mixer over that of an LSTM: mean, least and most over the lengths.

    Bytes are counted, not sampled: the range says at which lengths a bound holds.
    """
    costs, base = (
        {row["task.length"]: row[cost] for row in rows if row["mixer"] == name}
        for name in (mixer, LSTM)
    )
    shared = sorted(costs.keys() & base.keys())
    ratios = [costs[length] / base[length] for length in shared]
    return Interval(fmean(ratios), min(ratios), max(ratios)) if ratios else UNKNOWN


QUICK = Study(
    name="memory_and_length",
    question="Does attention take less memory than recurrence, and are longer "
    "sequences free?",
    claim="Attention uses less memory than recurrent networks, and scales to longer "
    "sequences without added cost.",
    source="Popular texts on the architecture of Vaswani et al., 2017, "
    "arXiv:1706.03762, which itself says neither",
    base=Config(
        task="adding(length=256)",
        model=Model(width=64, layers=1),
        train=Train(steps=24, batch=1, eval_every=24, eval_batches=1, test_batches=1),
    ),
    axes={
        "task.length": (256, 512, 1024, 2048, 4096),
        "model.pattern": (NAIVE, BLOCKS, LSTM),
    },
    population=Population(),
    expectations=(
        Expectation(
            "Attention with the whole matrix of scores trains in less memory than an "
            "LSTM",
            lambda rows: times(rows, NAIVE, "peak_bytes"),
            high=1.0,
            unit="times",
            part="memory of training with all scores",
            why="Less memory is a ratio below 1.",
        ),
        Expectation(
            "Attention in blocks, without a matrix of scores, trains in less memory "
            "than an LSTM",
            lambda rows: times(rows, BLOCKS, "peak_bytes"),
            high=1.0,
            unit="times",
            part="memory of training in blocks",
            why="Less memory is a ratio below 1.",
        ),
        Expectation(
            "Attention decodes with a smaller state than an LSTM",
            lambda rows: times(rows, BLOCKS, "state_bytes"),
            high=1.0,
            unit="times",
            part="memory of decoding",
            why="A smaller state is a ratio below 1.",
        ),
        Expectation(
            "The time of a training step of attention grows no faster than the length",
            lambda rows: growth(rows, BLOCKS, "step_seconds"),
            high=1.05,
            part="time of training",
            why="No added cost per token is an exponent of 1; 0.05 is for timing.",
        ),
        Expectation(
            "The decoding state of attention does not grow with the length",
            lambda rows: growth(rows, BLOCKS, "state_bytes"),
            high=0.05,
            part="memory of decoding",
            why="A state that does not grow has an exponent of 0.",
        ),
    ),
    confounds=(
        "All mixers share width, layers, batch and task; an LSTM has nine matrices of "
        "the width, attention four.",
        "All cells run on the same device, one after another.",
        "Memory is the peak that the compiler predicts for the program; the brackets "
        "of a ratio hold its range over the lengths, as bytes have no error.",
    ),
    figure="length_peak_bytes",
)
FULL = variant(
    QUICK, axes={**QUICK.axes, "task.length": (1024, 2048, 4096, 8192, 16384)}
)
STUDIES = {"quick": QUICK, "full": FULL}
