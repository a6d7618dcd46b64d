"""Does attention cost quadratic time and memory, unlike windows and linear attention?

One layer of each mixer trains for a few steps at every length. Attention is computed as
it is written down, with the whole matrix of scores.

    python scripts/sweep.py --experiment=claims/cost_exponents --out=runs/cost_exponents
    python scripts/report.py runs/cost_exponents

Quick size, 2 minutes of one core: supported. The exponents of growth with the length:

    time of attention           2.48 (2.37 to 2.59)
    memory of attention         1.92 (1.87 to 1.98)
    time of a window            0.98 (0.87 to 1.10)
    time of linear attention    0.96 (0.84 to 1.08)

Linear attention is faster than attention at each length, the shortest being 512 tokens.
"""

from attn_research.analysis.statistics import growth, overtaken
from attn_research.config import Config, Model, Population, Train
from attn_research.studies.study import Expectation, Study, variant

NAIVE = "dense(implementation=naive,heads=1)"
WINDOW, LINEAR = "window(heads=1)", "linear(heads=1)"


QUICK = Study(
    name="cost_exponents",
    question="Does attention cost quadratic time and memory, unlike windows and linear "
    "attention?",
    claim="The time and memory of attention are quadratic in the length, those of "
    "windows and linear attention linear.",
    source="Vaswani et al., 2017, arXiv:1706.03762; Katharopoulos et al., 2020, "
    "arXiv:2006.16236",
    base=Config(
        task="adding(length=512)",
        model=Model(width=64, layers=1),
        train=Train(steps=12, batch=1, eval_every=12, eval_batches=1, test_batches=1),
    ),
    axes={
        "task.length": (512, 1024, 2048, 4096, 8192),
        "model.pattern": (NAIVE, WINDOW, LINEAR),
    },
    population=Population(),
    expectations=(
        Expectation(
            "The time of attention grows faster than the power 1.2 of the length",
            lambda rows: growth(rows, NAIVE, "step_seconds"),
            low=1.2,
            why="Linear is 1, square 2; beyond 1.2 it is not linear.",
        ),
        Expectation(
            "The memory of attention grows faster than the power 1.2 of the length",
            lambda rows: growth(rows, NAIVE, "peak_bytes"),
            low=1.2,
            why="Linear is 1, square 2; beyond 1.2 it is not linear.",
        ),
        Expectation(
            "The time of a window grows with at most the power 1.2 of the length",
            lambda rows: growth(rows, WINDOW, "step_seconds"),
            high=1.2,
            why="Linear is 1; 0.2 is for timing.",
        ),
        Expectation(
            "The time of linear attention grows with at most the power 1.2 of the "
            "length",
            lambda rows: growth(rows, LINEAR, "step_seconds"),
            high=1.2,
            why="Linear is 1; 0.2 is for timing.",
        ),
        Expectation(
            "Linear attention becomes faster than attention within the lengths "
            "measured",
            lambda rows: overtaken(rows, NAIVE, LINEAR, "step_seconds"),
            high=8192.0,
            unit="tokens",
            decides=False,
            why="The longest length; unknown if the crossing is outside the lengths.",
        ),
    ),
    confounds=(
        "All mixers share width, heads, layers, batch and task.",
        "All cells run on the same device, one after another.",
        "Memory is the peak that the compiler predicts for the program.",
    ),
    figure="length_step_seconds",
)
FULL = variant(
    QUICK, axes={**QUICK.axes, "task.length": (512, 1024, 2048, 4096, 8192, 16384)}
)
STUDIES = {"quick": QUICK, "full": FULL}
