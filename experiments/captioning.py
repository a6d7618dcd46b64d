"""Which mixer describes what moves where in a video?

A digit moves over an empty canvas, and a sentence of bytes such as `7 moves left`
describes it. The encoder reads raw frames, every pixel a feature, so that it must
recognise a digit at any place. Every batch draws new sentences on 7,000 training
digits; the test is on 2,000 other digits. There are 40 sentences: a blind guess is
right on 0.025 of them. The best of three seeds writes 256 sentences.

    python scripts/prepare_data.py mnist_t10k --raw_dir=DIR
    python scripts/sweep.py --experiment=captioning --out=runs/captioning
    python scripts/report.py runs/captioning

Quick size, 11 minutes of one core (2 a mixer), the fraction of sentences written
exactly, and bits per byte over three seeds:

    gru         0.79  0.080
    conv,dense  0.76  0.084
    conv        0.76  0.083
    dense       0.75  0.092
    linear      0.74  0.094

Every sentence written is a possible one; the errors are in the digit, hardly ever in
the direction. With four frames and a decoder that reads each of them, the choice of
mixer hardly matters.
"""

from collections.abc import Sequence

from attn_research.analysis.statistics import best_row
from attn_research.config import Config, Model, Population, Train
from attn_research.studies.study import Expectation, Row, Study, variant

DENSE = "dense(positions=rope)"


def exact(rows: Sequence[Row]) -> dict[str, float]:
    """Mixer -> the fraction of sentences that it writes exactly."""
    return {row["mixer"]: row["decoded.exact_match"] for row in rows}


QUICK = Study(
    name="captioning",
    question="Which mixer describes what moves where in a video?",
    claim="Whatever mixes the frames, a small model describes what moves where.",
    base=Config(
        task="captioning(moves=1,frames=4,side=36)",
        model=Model(
            width=64,
            layers=2,
            positions="learned",
            mlp="gelu",
            mlp_ratio=2.0,
        ),
        train=Train(steps=300, batch=64, eval_every=100, decode=256),
    ),
    axes={
        "model.pattern": (DENSE, "linear", "gru", "conv", f"conv,{DENSE}"),
    },
    population=Population(seed=(0, 1, 2), lr=(3e-3,)),
    expectations=(
        Expectation(
            "The best mixer writes most sentences exactly",
            lambda rows: best_row(rows)["decoded.exact_match"],
            low=0.5,
            why="More than a half.",
        ),
        Expectation(
            "Even the worst mixer is far above the 0.025 of a blind guess",
            lambda rows: min(exact(rows).values()),
            low=0.1,
            why="Four times a blind guess.",
        ),
    ),
)
FULL = variant(
    QUICK,
    base={
        "task": "captioning(moves=2,frames=12,side=48)",
        "model.width": 256,
        "model.layers": 4,
        "train.steps": 10_000,
        "train.eval_every": 1000,
    },
    population=Population(seed=(0, 1, 2), lr=(3e-4, 1e-3)),
)
STUDIES = {"quick": QUICK, "full": FULL}
