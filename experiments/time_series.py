"""Which mixer forecasts a long horizon best, and does any beat a repeated day?

One small encoder reads 336 hours of each channel of ETTh1 and forecasts 96. Simple
forecasts have, on the same windows, a mean squared error of

    the last day repeated                                                   0.51
    the last value repeated                                                 1.29
    a linear map of the 336 hours, fitted by least squares to all channels  0.370

A strided convolution makes patches of the hours; every window is standardised by its
own mean and deviation.

    python scripts/prepare_data.py etth1 --raw_dir=DIR
    python scripts/sweep.py --experiment=time_series --out=runs/time_series --workers=2
    python scripts/report.py runs/time_series

Quick size, about 7 minutes of one core, mean squared error on the test split, mean of
three seeds:

    linear      0.405
    conv        0.406
    gru         0.407
    conv,dense  0.408
    dense       0.409

What was expected holds. The seeds of a mixer lie up to 0.008 apart, so that no mixer is
better than another, and none is as good as the linear map; the literature has 0.37 for
attention too (Nie et al., 2022, arXiv:2211.14730).
"""

from attn_research.analysis.statistics import lead, reached, worst
from attn_research.config import Config, Model, Population, Train
from attn_research.studies.study import Expectation, Study, variant

DENSE = "dense(positions=rope)"
SEASONAL = 0.51  # MSE of the last day repeated; the literature has 0.49


QUICK = Study(
    name="time_series",
    question="Which mixer forecasts a long horizon best, and does any beat a repeated "
    "day?",
    claim="Every mixer beats a repeated day; a recurrence is no worse than attention.",
    base=Config(
        task="forecasting(data=etth1,context=336,horizon=96)",
        model=Model(
            width=32,
            layers=2,
            strides=(12,),
            pool="all",
            rescale=True,
            dropout=0.2,
            mlp="gelu",
            mlp_ratio=2.0,
        ),
        train=Train(steps=400, batch=64, eval_every=100, eval_batches=64),
    ),
    axes={"model.pattern": (DENSE, "linear", "gru", "conv", f"conv,{DENSE}")},
    population=Population(seed=(0, 1, 2), lr=(1e-3,)),
    expectations=(
        Expectation(
            "The best mixer beats a repeated day",
            reached,
            high=SEASONAL,
            unit="MSE",
            why="The day before, repeated.",
        ),
        Expectation(
            "Even the worst mixer beats a repeated day",
            worst,
            high=SEASONAL,
            unit="MSE",
            why="The day before, repeated.",
        ),
        Expectation(
            "A recurrence forecasts as well as dense attention, or better",
            lambda rows: lead(rows, DENSE, "gru"),
            low=-0.01,
            unit="MSE",
            why="As well: one hundredth of the variance.",
        ),
    ),
)
FULL = variant(
    QUICK,
    base={"model.width": 128, "model.layers": 3, "train.steps": 5000},
    axes={
        **QUICK.axes,
        "task.data": ("etth1", "etth2"),
        "task.horizon": (96, 192, 336, 720),
    },
    population=Population(seed=(0, 1, 2, 3, 4), lr=(1e-4, 3e-4, 1e-3)),
)
STUDIES = {"quick": QUICK, "full": FULL}
