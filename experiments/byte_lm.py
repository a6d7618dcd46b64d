"""Which mixer uses more context on real code and text?

A small byte-level language model of each mixer on the source of the standard library
(or any file: `--set task.path=FILE`). The loss by position shows how much further
context still helps, the loss by gap how well a context that occurred far back is used.

    python scripts/sweep.py --experiment=byte_lm --out=runs/byte_lm
    python scripts/report.py runs/byte_lm

Quick size, about 9 minutes of one core, bits per byte on the test split:

                    library  tinyshakespeare
    gru             2.37     2.58
    conv,dense      2.37     2.71
    conv            2.39     2.65
    window of 32    2.49     2.75
    dense           2.58     2.77
    linear          3.38     3.55

The hybrid gains more from 64 bytes of context than the convolution: 0.104 on the
library, 0.063 on tinyshakespeare. For contexts that occurred 64 bytes before or
earlier, the hybrid is 0.012 better on the library; on tinyshakespeare, in 400 steps,
the convolution stays 0.102 better.
"""

import math
from collections.abc import Sequence

from attn_research.analysis.statistics import best_row, inside
from attn_research.config import Config, Model, Population, Train
from attn_research.studies.study import Expectation, Row, Study, variant

RECALLING, LOCAL = "conv,dense(positions=rope)", "conv"


def gain(rows: Sequence[Row], mixer: str) -> float:
    """Bits per byte saved by a context of 64 bytes or more over one of 2 to 3."""
    row = best_row([row for row in rows if row["mixer"] == mixer])
    near, far = (
        inside(row, "by_position", "bits_per_byte", low, high)
        for low, high in ((2, 3), (64, math.inf))
    )
    return near - far


def repeated(rows: Sequence[Row], mixer: str) -> float:
    """Bits per byte if the last four bytes occurred 64 or more bytes before."""
    row = best_row([row for row in rows if row["mixer"] == mixer])
    return inside(row, "by_gap", "bits_per_byte", 64, math.inf)


QUICK = Study(
    name="byte_lm",
    question="Which mixer uses more context on real code and text?",
    claim="Mixers that see far gain more from context than a convolution.",
    base=Config(
        task="text(length=256)",
        model=Model(width=64, mlp="swiglu", mlp_ratio=2.0, norm="rms"),
        train=Train(
            steps=400,
            batch=8,
            eval_every=100,
            eval_batches=8,
            test_batches=32,
        ),
    ),
    axes={
        "model.pattern": (
            "dense(positions=rope)",
            "window(window=32,positions=rope)",
            "linear",
            "gru",
            LOCAL,
            RECALLING,
        ),
    },
    population=Population(seed=(0,), lr=(3e-3, 1e-2)),
    expectations=(
        Expectation(
            "The hybrid of convolution and attention gains more from 64 bytes of "
            "context than the convolution alone",
            lambda rows: gain(rows, RECALLING) - gain(rows, LOCAL),
            low=0.0,
            unit="bits per byte",
            why="Any gain counts: the two are compared at equal bytes.",
        ),
        Expectation(
            "If a context occurred far back, the hybrid predicts what follows better "
            "than the convolution",
            lambda rows: repeated(rows, LOCAL) - repeated(rows, RECALLING),
            low=0.0,
            unit="bits per byte",
            why="Any gain counts: the bytes are the same.",
        ),
    ),
)
FULL = variant(
    QUICK,
    base={
        "task": "text(length=2048)",
        "model.width": 256,
        "model.layers": 6,
        "train.steps": 20_000,
        "train.batch": 32,
        "train.eval_every": 1000,
    },
    population=Population(seed=(0, 1, 2), lr=(3e-4, 1e-3, 3e-3)),
)
STUDIES = {"quick": QUICK, "full": FULL}
