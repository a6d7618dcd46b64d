"""Does attention train faster than recurrence because it does not wait for itself?

Attention computes all tokens of a sequence at once; a recurrence waits for the state
before each of them, so that a device with room for more is idle. Both train for a few
steps at every length, on one sequence and on sixteen at a time: what sixteen gain per
token is what one left idle. The verdict is that of the device it ran on.

    python scripts/sweep.py --experiment=claims/sequential_training \\
        --out=runs/sequential_training
    python scripts/report.py runs/sequential_training

Quick size, 6 minutes of one core: mixed, on a core of an x86-64 processor that did
nothing else.

    tokens from which an LSTM is faster (expected: 2,048)     509 (457 to 567)
    exponent of the time of a step, LSTM                      0.87 (0.83 to 0.90)
    exponent of the time of a step, attention                 1.50 (1.43 to 1.58)
    factor gained by sixteen sequences, over attention's      0.36 (0.13 to 0.55)

Whether the exponent of the LSTM is 0.9 or more is open: it was 0.98 (0.90 to 1.06) on
another processor.
"""

from collections.abc import Sequence

from attn_research.analysis.statistics import Interval, growth, overtaken, paired
from attn_research.config import Config, Model, Population, Train
from attn_research.studies.study import Expectation, Row, Study, variant

DENSE, LSTM = "dense(heads=1)", "lstm"
MANY, LONGEST = 16, 2048


def at(rows: Sequence[Row], batch: int) -> list[Row]:
    """The rows of steps on this number of sequences."""
    return [row for row in rows if row["train.batch"] == batch]


def gains(rows: Sequence[Row], mixer: str) -> dict[int, float]:
    """Length -> the time of a token in one sequence over that in many."""
    rows = [row for row in rows if row["mixer"] == mixer]
    one, many = (
        {row["task.length"]: row["step_seconds"] / n for row in at(rows, n)}
        for n in (1, MANY)
    )
    return {length: one[length] / many[length] for length in one.keys() & many.keys()}


def idle(rows: Sequence[Row]) -> Interval:
    """How much more a recurrence gains by many sequences than attention does."""
    return paired(gains(rows, LSTM), gains(rows, DENSE))


QUICK = Study(
    name="sequential_training",
    question="Does attention train faster than recurrence because it does not wait "
    "for itself?",
    claim="Recurrence is sequential and attention parallel, so that attention takes "
    "less time to train on a token.",
    source="Vaswani et al., 2017, arXiv:1706.03762",
    base=Config(
        task="adding(length=128)",
        model=Model(width=64, layers=1),
        train=Train(steps=60, batch=1, eval_every=10, eval_batches=1, test_batches=1),
    ),
    axes={
        "task.length": (128, 192, 256, 384, 512, 768, 1024, 1536, LONGEST),
        "train.batch": (1, MANY),
        "model.pattern": (DENSE, LSTM),
    },
    population=Population(),
    expectations=(
        Expectation(
            f"An LSTM takes less time than attention only beyond {LONGEST} tokens",
            lambda rows: overtaken(at(rows, 1), DENSE, LSTM, "step_seconds"),
            low=float(LONGEST),
            unit="tokens",
            why="The longest length that is measured.",
        ),
        Expectation(
            "The time of a step of an LSTM grows with the length, as what waits must",
            lambda rows: growth(at(rows, 1), LSTM, "step_seconds"),
            low=0.9,
            why="Linear is 1; 0.1 is for what is constant.",
        ),
        Expectation(
            "The time of a step of attention grows more slowly than the length while "
            "the device has room",
            lambda rows: growth(at(rows, 1), DENSE, "step_seconds"),
            high=0.9,
            why="Slower than linear, which is 1, by as much.",
        ),
        Expectation(
            f"A batch of {MANY} makes a token of an LSTM cheaper by a larger factor "
            "than a token of attention",
            idle,
            low=0.0,
            unit="times",
            why="Any difference counts.",
        ),
    ),
    confounds=(
        "All mixers share width, layers and task; both sizes of a batch are measured "
        "for each.",
        "All cells run on the same device, one after another.",
    ),
    figure="length_step_seconds",
)
FULL = variant(
    QUICK,
    axes={
        **QUICK.axes,
        "task.length": (128, 512, LONGEST, 8192, 32768),
        "model.pattern": (DENSE, LSTM, "gru", "diagonal", "mamba", "linear(heads=1)"),
    },
)
STUDIES = {"quick": QUICK, "full": FULL}
