"""Do recurrences forecast time series as well as attention, or better?

Two series of a transformer station, channel by channel: one small encoder, whose mixer
is attention, a gated recurrence or a diagonal linear one, reads 336 hours and forecasts
96. The mean squared error of the last day repeated is 0.51 on the first series.

    python scripts/prepare_data.py etth1 etth2 --raw_dir=DIR
    python scripts/sweep.py --experiment=claims/forecasting_recurrence \\
        --out=runs/forecasting_recurrence --workers=2
    python scripts/report.py runs/forecasting_recurrence

Quick size, 6 minutes of one core: undecided. The mean squared error less that of
attention, where at most 0.005 was expected:

                           etth1                        etth2
    gated recurrence       -0.002 (-0.004 to 0.001)     -0.002 (-0.004 to 0.001)
    diagonal recurrence     0.001 (-0.002 to 0.004)      0.008 (0.004 to 0.013)
"""

from collections.abc import Sequence

from attn_research.analysis.statistics import Interval, lead
from attn_research.config import Population, edit
from attn_research.studies.study import Expectation, Row, Study, variant
from experiments.time_series import QUICK as SERIES

DENSE, RECURRENT = "dense(positions=rope)", ("gru", "diagonal")
SETS = ("etth1", "etth2")
LITTLE = 0.005  # MSE: about the difference between seeds of one mixer


def behind(rows: Sequence[Row], data: str, mixer: str) -> Interval:
    """The error of a recurrence less that of attention."""
    return lead([row for row in rows if row["task.data"] == data], mixer, DENSE)


QUICK = Study(
    name="forecasting_recurrence",
    question="Do recurrences forecast time series as well as attention, or better?",
    claim="Recurrent mixers forecast time series as well as attention, or better.",
    source="Lin et al., 2023, arXiv:2308.11200; Wang et al., 2024, arXiv:2403.11144",
    base=edit(SERIES.base, {"train.steps": 300, "train.eval_batches": 32}),
    axes={"task.data": SETS, "model.pattern": (DENSE, *RECURRENT)},
    population=Population(seed=tuple(range(8)), lr=(1e-3,)),
    expectations=tuple(
        Expectation(
            f"On {data}, a {name} recurrence is hardly worse than attention",
            lambda rows, data=data, mixer=mixer: behind(rows, data, mixer),
            high=LITTLE,
            unit="MSE",
            why="Half a hundredth of the variance, about what a seed makes.",
        )
        for data in SETS
        for name, mixer in zip(("gated", "diagonal"), RECURRENT, strict=True)
    ),
    confounds=(
        "All mixers share width, layers, MLP, patches, data, steps, batch and learning "
        "rate; their numbers of parameters differ.",
        "The test windows are those of the literature; all channels are read alike.",
    ),
)
FULL = variant(
    QUICK,
    base={"model.width": 128, "model.layers": 3, "train.steps": 5000},
    axes={**QUICK.axes, "task.horizon": (96, 192, 336, 720)},
    population=Population(seed=(0, 1, 2, 3, 4), lr=(1e-4, 3e-4, 1e-3)),
)
STUDIES = {"quick": QUICK, "full": FULL}
