"""Which mixer generalises on formal languages to eight times the training length?

Parity counts modulo 2; a flip-flop holds the last bit written; nested brackets, at most
eight of them open, ask for the kind that closes next. Rows of up to 32 tokens are for
training and validation, rows of up to 256 for the test. Answers are due all along a
row, so that accuracy by position is the length curve. The state of a recurrence can
hold what each language needs; attention of constant depth cannot count modulo 2 at
every length (Deletang et al., 2022, arXiv:2207.02098).

    python scripts/sweep.py --experiment=length_generalisation \\
        --out=runs/length_generalisation --workers=2
    python scripts/report.py runs/length_generalisation

Quick size, 7 minutes of one core (half a minute a cell), accuracy at positions 32 to
255, mean of three seeds:

                parity  flip-flop  brackets
    lstm        1.000   0.999      0.961
    lstm,dense  1.000   0.998      0.959
    dense       0.506   0.554      0.804
    linear      0.505   0.623      0.872
    conv        0.495   0.739      0.890

What was expected holds. Within the training lengths, dense attention solves flip-flops
(0.999) and brackets (0.975); at parity it is no better than a guess from the ninth
position on.
"""

import math
from collections.abc import Sequence
from operator import attrgetter

from attn_research.analysis.statistics import Interval, inside, level
from attn_research.config import Config, Model, Population, Train
from attn_research.studies.study import Expectation, Row, Study, variant

DENSE, SHORT, LONG = "dense(positions=rope)", 32, 256
LANGUAGES = ("parity", "flip_flop", "dyck")
MORE = ("cycle_navigation", "modular_arithmetic", "group_word")


def tasks(languages: Sequence[str], length: int, test_length: int) -> tuple[str, ...]:
    """The specs of languages for training and test up to these lengths."""
    sizes = f"length={length},test_length={test_length}"
    return tuple(f"{language}({sizes})" for language in languages)


def accuracy(
    rows: Sequence[Row], language: str, mixer: str, low: float, high: float
) -> Interval:
    """Accuracy at the positions from low to high, over seeds at the best rate."""
    rows = [row for row in rows if row["task"] == language]
    return level(
        rows, mixer, lambda row: inside(row, "by_position", "accuracy", low, high)
    )


def beyond(rows: Sequence[Row], language: str, mixer: str) -> Interval:
    """Accuracy at positions beyond the training lengths."""
    return accuracy(rows, language, mixer, rows[0]["task.length"], math.inf)


def within(rows: Sequence[Row], language: str, mixer: str) -> Interval:
    """Accuracy at positions within the training lengths."""
    return accuracy(rows, language, mixer, 0, rows[0]["task.length"] - 1)


QUICK = Study(
    name="length_generalisation",
    question="Which mixer generalises on formal languages to eight times the training "
    "length?",
    claim="A recurrence carries a state on for ever; attention, linear attention and "
    "convolutions lose it beyond the training lengths.",
    base=Config(
        task="parity",
        model=Model(width=32, mlp="gelu", mlp_ratio=2.0),
        train=Train(
            steps=400, batch=32, eval_every=200, eval_batches=4, test_batches=8
        ),
    ),
    axes={
        "task": tasks(LANGUAGES, SHORT, LONG),
        "model.pattern": (DENSE, "linear", "lstm", "conv", f"lstm,{DENSE}"),
    },
    population=Population(seed=(0, 1, 2), lr=(5e-3,)),
    expectations=(
        Expectation(
            "An LSTM solves parity beyond the training lengths",
            lambda rows: beyond(rows, "parity", "lstm"),
            low=0.95,
            why="Solved: one answer of twenty may be wrong.",
        ),
        Expectation(
            "Dense attention does not solve parity beyond the training lengths",
            lambda rows: beyond(rows, "parity", DENSE),
            high=0.6,
            why="Chance is 0.5; a tenth above it is not solved.",
        ),
        Expectation(
            "An LSTM solves even its worst language beyond the training lengths",
            lambda rows: min(
                (beyond(rows, name, "lstm") for name in LANGUAGES),
                key=attrgetter("mean"),
            ),
            low=0.9,
            why="Solved: one answer of ten may be wrong.",
        ),
        Expectation(
            "Dense attention solves brackets within the training lengths",
            lambda rows: within(rows, "dyck", DENSE),
            low=0.9,
            why="Solved: one answer of ten may be wrong.",
        ),
    ),
)
FULL = variant(
    QUICK,
    base={
        "model.width": 128,
        "train.steps": 20_000,
        "train.batch": 128,
        "train.eval_every": 1000,
    },
    axes={
        "task": tasks(LANGUAGES + MORE, 64, 512),
        "model.pattern": (
            *QUICK.axes["model.pattern"],
            "delta",
            "delta(negative=true)",
            "mamba",
            "gru",
            "slstm",
        ),
    },
    population=Population(seed=(0, 1, 2, 3, 4), lr=(3e-4, 1e-3, 3e-3)),
)
STUDIES = {"quick": QUICK, "full": FULL}
