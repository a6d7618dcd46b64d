"""Which mixer sees whether two dots lie on one contour?

Two long dashed contours among shorter ones, 32 x 32 pixels read row by row; the two
dots are on the ends of one contour, or one on each. A guess is right half of the time.
A strided convolution makes a position of four pixels, so that the row above is eight
positions back: a stack of dilated convolutions looks there, and so reads the plane.

Contours have three dashes in the quick size; 6, 9 and 14 are published. With four or
six dashes the convolutions learned nothing in 400 and 600 steps (one seed).

    python scripts/sweep.py --experiment=pathfinder --out=runs/pathfinder --workers=2
    python scripts/report.py runs/pathfinder

Quick size, 20 minutes of one core (4 a mixer), accuracy on the test split, mean of
three seeds with its interval:

    dilated        0.972 (0.944 to 0.992)
    dilated,dense  0.886 (0.863 to 0.926)
    gru            0.584
    dense          0.577
    retnet         0.535

What was expected holds; in 250 steps the dilated convolutions had 0.741.
"""

from attn_research.analysis.statistics import reached
from attn_research.config import Config, Model, Population, Train
from attn_research.studies.study import Expectation, Study, variant

DENSE, PLANE = "dense(positions=rope)", 'dilated(kernel=3,dilations="1,8")'

QUICK = Study(
    name="pathfinder",
    question="Which mixer sees whether two dots lie on one contour?",
    claim="Small mixers follow short contours that are read row by row.",
    base=Config(
        task="pathfinder(dashes=3)",
        model=Model(
            width=32,
            layers=3,
            strides=(4,),
            pool="max",
            mlp="gelu",
            mlp_ratio=2.0,
        ),
        train=Train(
            steps=450, batch=32, eval_every=225, eval_batches=16, test_batches=32
        ),
    ),
    axes={
        "model.pattern": (
            DENSE,
            "retnet",
            "gru",
            PLANE,
            f"{PLANE},{DENSE}",
        )
    },
    population=Population(seed=(0, 1, 2), lr=(4e-3,)),
    expectations=(
        Expectation(
            "The best mixer follows most contours",
            reached,
            low=0.75,
            why="Half of the way from chance, 0.5, to certainty.",
        ),
    ),
)
FULL = variant(
    QUICK,
    base={
        "task": "pathfinder(dashes=14)",
        "model.width": 128,
        "model.layers": 6,
        "train.steps": 60_000,
        "train.batch": 64,
        "train.eval_every": 2000,
    },
    axes={**QUICK.axes, "task.dashes": (6, 9, 14)},
    population=Population(seed=(0, 1, 2), lr=(3e-4, 1e-3, 3e-3)),
)
STUDIES = {"quick": QUICK, "full": FULL}
