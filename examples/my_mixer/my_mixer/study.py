"""Does a moving average carry the first token as far as attention does?

attn-research sweep --experiment=my_mixer/study.py --out=runs/reach
"""

from attn_research.config import Config, Model, Population, Train
from attn_research.studies.study import Study, variant

TINY = Study(
    "my_reach",
    "Does a moving average carry the first token as far as attention does?",
    "A moving average forgets it.",
    Config(
        task="first_token(length=8)",
        model=Model(width=8, layers=1),
        train=Train(
            steps=4, batch=4, eval_every=2, eval_batches=1, test_batches=1, decode=0
        ),
    ),
    {"model.pattern": ("ema", "dense(heads=2)")},
    Population(seed=(0,)),
)
QUICK = variant(
    TINY,
    base={
        "model.width": 32,
        "train.steps": 500,
        "train.batch": 32,
        "train.eval_every": 100,
        "train.eval_batches": 4,
        "train.test_batches": 16,
    },
    axes={**TINY.axes, "task.length": (16, 64)},
    population=Population(seed=(0, 1), lr=(1e-3, 3e-3)),
)
STUDIES = {"tiny": TINY, "quick": QUICK}
