"""Which mixer evaluates nested operations, and what is left to a guess?

Expressions such as [MAX 2 9 [MIN 4 7 ] 0 ] as bytes, half of them of up to 39 bytes,
four in five of at most 133; 128 are read. The answer is one of ten digits; the most
common answer is right on 0.11 of the test split.

    python scripts/prepare_data.py listops_d20s --raw_dir=DIR
    python scripts/sweep.py --experiment=listops --out=runs/listops --workers=2
    python scripts/report.py runs/listops

Quick size, about 13 minutes of one core in all, accuracy on the test split, mean of
3 seeds with its interval:

    conv,dense  0.371 (0.366 to 0.378)
    dense       0.364 (0.354 to 0.377)
    gru         0.330
    conv        0.304
    linear      0.293

All beat the most common answer by 0.18 or more; deeper nesting is left to a guess.

The full size has the published setting of 500 to 2,000 tokens, which are generated
(Tay et al., 2020, arXiv:2011.04006).
"""

from attn_research.analysis.statistics import reached, worst
from attn_research.config import Config, Model, Population, Train
from attn_research.studies.study import Expectation, Study, variant

DENSE = "dense(positions=rope)"

QUICK = Study(
    name="listops",
    question="Which mixer evaluates nested operations, and what is left to a guess?",
    claim="Small mixers learn more about expressions than the most common answer.",
    base=Config(
        task="classification(data=listops_d20s,length=128)",
        model=Model(width=48, mlp="gelu", mlp_ratio=2.0),
        train=Train(steps=400, batch=16, eval_every=200, eval_batches=63),
    ),
    axes={"model.pattern": (DENSE, "linear", "gru", "conv", f"conv,{DENSE}")},
    population=Population(seed=(0, 1, 2), lr=(3e-3,)),
    expectations=(
        Expectation(
            "The best mixer beats the most common answer, 0.11, by 20 points",
            reached,
            low=0.31,
            why="Twenty points above the most common answer.",
        ),
        Expectation(
            "Even the worst mixer beats the most common answer, 0.11, by 10 points",
            worst,
            low=0.21,
            why="Ten points above the most common answer.",
        ),
    ),
)
FULL = variant(
    QUICK,
    base={
        "task": "listops",
        "model.width": 128,
        "model.layers": 4,
        "train.steps": 5000,
        "train.eval_every": 500,
    },
    population=Population(seed=(0, 1, 2, 3, 4), lr=(3e-4, 1e-3, 3e-3)),
)
STUDIES = {"quick": QUICK, "full": FULL}
