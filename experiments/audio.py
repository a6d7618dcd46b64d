"""Which mixer hears a spoken digit in its raw wave?

Free Spoken Digit recordings at 8 kHz, as samples: up to 8,192 positions, which strided
convolutions shorten before the mixers read them. One of ten digits; the test split is
the official one, of recordings by the same speakers.

    python scripts/prepare_data.py fsdd --raw_dir=DIR
    python scripts/sweep.py --experiment=audio --out=runs/audio --workers=2
    python scripts/report.py runs/audio
"""

from dataclasses import replace

from attn_research.analysis.statistics import reached
from attn_research.config import Config, Model, Population, Train
from attn_research.config import replace as change
from attn_research.study import Expectation, Study

DENSE = "dense(positions=rope)"

QUICK = Study(
    name="audio",
    question="Which mixer hears a spoken digit in its raw wave?",
    claim="Above strided convolutions every mixer hears digits in raw waves.",
    base=Config(
        task="audio_classification(data=fsdd,form=wave,samples=6000)",
        model=Model(
            width=64,
            layers=2,
            strides=(4, 4, 4),
            dropout=0.1,
            mlp="gelu",
            mlp_ratio=2.0,
        ),
        train=Train(steps=600, batch=32, eval_every=200, eval_batches=10),
    ),
    axes={
        "model.pattern": (DENSE, "linear", "gru", "conv", f"conv,{DENSE}"),
    },
    population=Population(seed=(0, 1, 2), lr=(2e-3,)),
    expectations=(
        Expectation("The best mixer hears most digits", reached, low=0.85),
        Expectation(
            "Every mixer is far above chance: the worst",
            lambda rows: min(reached(rows, m) for m in {r["mixer"] for r in rows}),
            low=0.5,
        ),
    ),
)
FULL = replace(
    QUICK,
    base=change(
        QUICK.base, {"model.width": 256, "model.layers": 4, "train.steps": 5000}
    ),
    axes={**QUICK.axes, "task.form": ("wave", "frames")},
    population=Population(seed=(0, 1, 2, 3, 4), lr=(3e-4, 1e-3, 3e-3)),
)
STUDIES = {"quick": QUICK, "full": FULL}
