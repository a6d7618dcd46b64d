"""Which positions and which mixer hold up at eight times the training length?

A flip-flop: among bits to be ignored, a read asks for the one that was written last. A
short convolution marks what a bit is for, the layer above finds the one to read. Rows
of up to 32 tokens are for training and validation, rows of up to 256 for the test; the
accuracy of a member at the trained positions is compared with that at 128 to 255.

    python scripts/sweep.py --experiment=claims/length_extrapolation \\
        --out=runs/length_extrapolation --workers=2
    python scripts/report.py runs/length_extrapolation

Quick size, 4 minutes of one core: supported. From the trained positions to 128 to 255
the accuracy falls by

    linear biases         0.006 (-0.001 to 0.019)
    lstm                  0.004 (-0.012 to 0.044)
    learned positions     0.317 (0.302 to 0.351) more than linear biases
    rotary positions      0.366 (0.228 to 0.498) more than linear biases
"""

import math

from attn_research.analysis.statistics import Row, inside, lead, level
from attn_research.config import Config, Model, Population, Train
from attn_research.studies.study import Expectation, Study, variant

NONE, LEARNED = "conv,dense", "conv,dense(positions=learned)"
ROPE, ALIBI = "conv,dense(positions=rope)", "conv,dense(positions=alibi)"
LSTM = "conv,lstm"


def accuracy(row: Row, low: float, high: float) -> float:
    """Accuracy at the positions from low to high."""
    return inside(row, "by_position", "accuracy", low, high)


def within(row: Row) -> float:
    """Accuracy at the trained positions."""
    return accuracy(row, 0, row["task.length"] - 1)


def lost(row: Row) -> float:
    """The fall of accuracy from the trained positions to four to eight times those."""
    return within(row) - accuracy(row, 4 * row["task.length"], math.inf)


QUICK = Study(
    name="length_extrapolation",
    question="Which positions and which mixer hold up at eight times the training "
    "length?",
    claim="Attention with linear biases holds up beyond the training lengths, as a "
    "recurrence does; with learned or rotary positions it does not.",
    source="Press et al., 2021, arXiv:2108.12409; Kazemnejad et al., 2023, "
    "arXiv:2305.19466; Deletang et al., 2022, arXiv:2207.02098",
    base=Config(
        task="flip_flop(length=32,test_length=256)",
        model=Model(width=32, mlp="gelu", mlp_ratio=2.0),
        train=Train(
            steps=500, batch=32, eval_every=250, eval_batches=4, test_batches=8
        ),
    ),
    axes={"model.pattern": (LSTM, ALIBI, ROPE, LEARNED, NONE, "conv,diagonal")},
    population=Population(seed=(0, 1, 2), lr=(5e-3,)),
    expectations=(
        Expectation(
            "At four to eight times the training length, learned positions lose more "
            "accuracy than linear biases",
            lambda rows: lead(rows, LEARNED, ALIBI, lost),
            low=0.05,
            unit="accuracy",
            why="More: one answer of twenty.",
        ),
        Expectation(
            "At the training lengths, attention with linear biases is right",
            lambda rows: level(rows, ALIBI, within),
            low=0.95,
            unit="accuracy",
            why="Solved: one answer of twenty may be wrong.",
        ),
        Expectation(
            "At four to eight times the training length, attention with linear biases "
            "loses little accuracy",
            lambda rows: level(rows, ALIBI, lost),
            high=0.05,
            unit="accuracy",
            why="Little: one answer of twenty.",
        ),
        Expectation(
            "At four to eight times the training length, rotary positions lose more "
            "accuracy than linear biases",
            lambda rows: lead(rows, ROPE, ALIBI, lost),
            low=0.05,
            unit="accuracy",
            why="More: one answer of twenty.",
        ),
        Expectation(
            "At four to eight times the training length, an LSTM loses little accuracy",
            lambda rows: level(rows, LSTM, lost),
            high=0.05,
            unit="accuracy",
            why="Little: one answer of twenty.",
        ),
    ),
    confounds=(
        "All mixers share width, layers, the convolution below, MLP, data, steps, "
        "batch and learning rate.",
        "The kinds of attention differ in their positions only; learned ones have "
        "parameters too.",
    ),
    figure="by_position",
)
FULL = variant(
    QUICK,
    base={
        "task": "flip_flop(length=128,test_length=1024)",
        "model.width": 128,
        "train.steps": 20_000,
        "train.batch": 128,
        "train.eval_every": 1000,
    },
    axes={
        "model.pattern": (
            *QUICK.axes["model.pattern"],
            "conv,dense(positions=t5)",
            "conv,gated_delta",
            "conv,mamba",
        )
    },
    population=Population(seed=(0, 1, 2, 3, 4), lr=(3e-4, 1e-3, 3e-3)),
)
STUDIES = {"quick": QUICK, "full": FULL}
