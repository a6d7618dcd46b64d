"""Do recurrences forecast time series as well as attention, or better?

Two series of a transformer station, channel by channel: 336 hours are read, 96 are
forecast, by one small encoder whose mixer is attention, a gated recurrence or a
diagonal linear one. The mean squared error of a day repeated is 0.51 on the first.

    python scripts/prepare_data.py etth1 etth2 --raw_dir=DIR
    python scripts/sweep.py --experiment=claims/forecasting_recurrence \\
        --out=runs/forecasting_recurrence --workers=2
    python scripts/report.py runs/forecasting_recurrence

Quick size, 6 minutes of one core: mixed. In mean squared error a gated recurrence is
behind attention by -0.002 on the first series (-0.003 to 0.000) and -0.002 on the
second (-0.003 to 0.000), a diagonal one by 0.001 (-0.001 to 0.004) and by 0.008 (0.005
to 0.011), where at most 0.005 was expected.
"""

from collections.abc import Sequence
from dataclasses import replace

from attn_research.analysis.statistics import Interval, lead
from attn_research.config import Population
from attn_research.config import replace as change
from attn_research.study import Expectation, Row, Study
from experiments.time_series import QUICK as SERIES

DENSE, RECURRENT = "dense(positions=rope)", ("gru", "diagonal")
SETS = ("etth1", "etth2")
NOTHING = 0.005  # as well: about what a seed makes of one mixer


def behind(rows: Sequence[Row], data: str, mixer: str) -> Interval:
    """How much larger the error of a recurrence is than that of attention."""
    return lead([row for row in rows if row["task.data"] == data], mixer, DENSE)


QUICK = Study(
    name="forecasting_recurrence",
    question="Do recurrences forecast time series as well as attention, or better?",
    claim="Recurrent mixers forecast time series as well as attention, or better.",
    source="Lin et al., 2023, arXiv:2308.11200; Wang et al., 2024, arXiv:2403.11144",
    base=change(SERIES.base, {"train.steps": 300, "train.eval_batches": 32}),
    axes={"task.data": SETS, "model.pattern": (DENSE, *RECURRENT)},
    population=Population(seed=tuple(range(8)), lr=(1e-3,)),
    expectations=tuple(
        Expectation(
            f"On {data} a {told} is behind attention by nothing that matters",
            lambda rows, data=data, mixer=mixer: behind(rows, data, mixer),
            high=NOTHING,
            unit="MSE",
        )
        for data in SETS
        for told, mixer in zip(
            ("gated recurrence", "diagonal recurrence"), RECURRENT, strict=True
        )
    ),
    confounds=(
        "Width, layers, MLP, patches, data, steps, batch and learning rate are those "
        "of every mixer; parameters are not.",
        "The test windows are those of the literature, all channels read alike.",
    ),
)
FULL = replace(
    QUICK,
    base=change(
        QUICK.base, {"model.width": 128, "model.layers": 3, "train.steps": 5000}
    ),
    axes={**QUICK.axes, "task.horizon": (96, 192, 336, 720)},
    population=Population(seed=(0, 1, 2, 3, 4), lr=(1e-4, 3e-4, 1e-3)),
)
STUDIES = {"quick": QUICK, "full": FULL}
