"""Which mixer writes Shakespeare best, byte by byte?

A byte-level language model of each mixer on one stream of plays of 1.1 MB
(tinyshakespeare): nine tenths for training, the last twentieth for the test. xz
compresses all of it to 2.61 bits per byte; an n-gram model (interpolated Witten-Bell)
that sees the last four bytes, its best length, has 2.55 on the test split. The report
shows how each mixer continues a prompt.

    python scripts/prepare_data.py tinyshakespeare --raw_dir=DIR
    python scripts/sweep.py --experiment=generation --out=runs/generation
    python scripts/report.py runs/generation

Quick size, 2 to 4 minutes of one core for each mixer, bits per byte on the test split,
mean of three seeds with its interval:

    gru         2.418 (2.409 to 2.427)
    conv,dense  2.448 (2.433 to 2.463)
    conv        2.467 (2.444 to 2.483)
    dense       2.514 (2.504 to 2.529)
    linear      2.560 (2.550 to 2.571)

What was expected holds: all are below xz, and only linear is above the n-gram model. In
windows of 128 bytes gru had 2.46: the first four bytes of a window, with next to no
context, cost 0.02.
"""

from attn_research.analysis.statistics import reached
from attn_research.config import Config, Model, Population, Train
from attn_research.studies.study import Expectation, Study, variant

DENSE = "dense(positions=rope)"

QUICK = Study(
    name="generation",
    question="Which mixer writes Shakespeare best, byte by byte?",
    claim="A small byte-level model soon predicts plays better than xz compresses "
    "them.",
    base=Config(
        task="text(data=tinyshakespeare,length=256)",
        model=Model(width=64, stem="conv", mlp="swiglu", mlp_ratio=2.0, norm="rms"),
        train=Train(
            steps=700, batch=8, eval_every=350, eval_batches=16, test_batches=52
        ),
    ),
    axes={
        "model.pattern": (DENSE, "linear", "gru", "conv", f"conv,{DENSE}"),
    },
    population=Population(seed=(0, 1, 2), lr=(1e-2,)),
    expectations=(
        Expectation(
            "The best mixer predicts plays clearly better than xz compresses them",
            reached,
            high=2.45,
            unit="bits per byte",
            why="xz has 2.61 bits per byte; clearly better is 0.15 less.",
        ),
    ),
)
FULL = variant(
    QUICK,
    base={
        "task.length": 1024,
        "model.width": 256,
        "model.layers": 6,
        "model.dropout": 0.2,
        "train.steps": 5000,
        "train.batch": 32,
        "train.eval_every": 500,
    },
    axes={"model.pattern": (*QUICK.axes["model.pattern"], "gated_delta", "mamba")},
    population=Population(seed=(0, 1, 2), lr=(1e-3, 3e-3)),
    expectations=(
        Expectation(
            "The best mixer predicts plays far better than xz compresses them",
            reached,
            high=2.15,
            unit="bits per byte",
            why="xz has 2.61 bits per byte; far better is 0.45 less.",
        ),
    ),
)
STUDIES = {"quick": QUICK, "full": FULL}
