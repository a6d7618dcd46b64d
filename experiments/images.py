"""Which mixer reads digits pixel by pixel, and what does reordering the pixels cost?

Handwritten digits of 28 x 28, as 784 positions of one pixel each, in reading order and
under one fixed permutation. 7,000 images to train on, 1,000 to choose, 2,000 to test. A
linear model of the pixels reaches 0.93.

    python scripts/prepare_data.py mnist_t10k --raw_dir=DIR
    python scripts/sweep.py --experiment=images --out=runs/images --workers=2
    python scripts/report.py runs/images
"""

from dataclasses import replace

from attn_research.analysis.statistics import reached
from attn_research.config import Config, Model, Population, Train
from attn_research.config import replace as change
from attn_research.study import Expectation, Study

QUICK = Study(
    name="images",
    question="Which mixer reads digits pixel by pixel, and what does reordering the "
    "pixels cost?",
    claim="A mixer reads digits from single pixels better than a linear model.",
    base=Config(
        task="image_classification(data=mnist_t10k,form=pixels)",
        model=Model(
            width=48,
            layers=2,
            strides=(7,),
            positions="learned",
            mlp="gelu",
            mlp_ratio=2.0,
        ),
        train=Train(steps=700, batch=64, eval_every=350, eval_batches=16),
    ),
    axes={
        "model.pattern": ("dense", "linear", "gru", "conv(width=9)", "conv,dense"),
    },
    population=Population(seed=(0, 1, 2), lr=(3e-3,)),
    expectations=(
        Expectation("The best mixer reaches a linear model", reached, low=0.93),
    ),
)
FULL = replace(
    QUICK,
    base=change(
        QUICK.base,
        {"model.width": 128, "model.layers": 4, "train.steps": 10_000},
    ),
    axes={**QUICK.axes, "task.permute": ("false", "true")},
    population=Population(seed=(0, 1, 2, 3, 4), lr=(3e-4, 1e-3, 3e-3)),
)
STUDIES = {"quick": QUICK, "full": FULL}
