"""Does attention take less memory than recurrence, and is a longer sequence free?

Popular texts say both. Attention, once as it is written down and once in blocks, and an
LSTM train for a few steps at every length: the peak memory of the program, the time of
a step, and the state that decoding keeps after so many tokens.

    python scripts/sweep.py --experiment=claims/memory_and_length \\
        --out=runs/memory_and_length
    python scripts/report.py runs/memory_and_length

Quick size, 2 minutes of one core: mixed. As it is written down attention trains in 4.0
times the memory of an LSTM (1.4 to 7.3), in blocks in 0.58 of it (0.51 to 0.66); it
decodes with 1,587 times the state (512 to 2,918), which grows with the power 1 of the
length. The time of a step grows with 1.64 (1.44 to 1.84).
"""

from collections.abc import Sequence
from dataclasses import replace

from attn_research.analysis.statistics import Interval, bootstrap, growth
from attn_research.config import Config, Model, Population, Train
from attn_research.study import Expectation, Row, Study

NAIVE, BLOCKS = "dense(implementation=naive,heads=1)", "dense(heads=1)"
LSTM = "lstm"


def times(rows: Sequence[Row], mixer: str, cost: str) -> Interval:
    """How many times the cost of an LSTM a mixer has, the mean over the lengths."""
    own, other = (
        {row["task.length"]: row[cost] for row in rows if row["mixer"] == name}
        for name in (mixer, LSTM)
    )
    shared = sorted(own.keys() & other.keys())
    return bootstrap([own[length] / other[length] for length in shared])


QUICK = Study(
    name="memory_and_length",
    question="Does attention take less memory than recurrence, and is a longer "
    "sequence free?",
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
            "Attention as it is written down trains in less memory than an LSTM",
            lambda rows: times(rows, NAIVE, "peak_bytes"),
            high=1.0,
            unit="times",
        ),
        Expectation(
            "In blocks, which hold no matrix of scores, it does",
            lambda rows: times(rows, BLOCKS, "peak_bytes"),
            high=1.0,
            unit="times",
        ),
        Expectation(
            "It decodes with a smaller state",
            lambda rows: times(rows, BLOCKS, "state_bytes"),
            high=1.0,
            unit="times",
        ),
        Expectation(
            "A token costs no more time in training where the sequence is longer: a "
            "step grows with the length",
            lambda rows: growth(rows, BLOCKS, "step_seconds"),
            high=1.05,
        ),
        Expectation(
            "The state in decoding does not grow",
            lambda rows: growth(rows, BLOCKS, "state_bytes"),
            high=0.05,
        ),
    ),
    confounds=(
        "Width, layers, batch and task are those of every mixer; an LSTM has nine "
        "matrices of the width, attention four.",
        "Every cell runs on the same device, one after another.",
        "Memory is the peak that the compiler predicts for the program.",
    ),
    figure="length_peak_bytes",
)
FULL = replace(
    QUICK, axes={**QUICK.axes, "task.length": (1024, 2048, 4096, 8192, 16384)}
)
STUDIES = {"quick": QUICK, "full": FULL}
