"""What does a mixer cost as sequences grow?

Each mixer trains for a few steps at every length; the report fits the exponents of the
time of a step, of the predicted peak memory and of the decoding state.

    python scripts/sweep.py --experiment=cost_scaling --out=runs/cost_scaling
    python scripts/report.py runs/cost_scaling

Quick size, about 15 minutes of one core, a training step of 1,024 and of 16,384 tokens:
dense 53 ms and 11.2 s, a window of 256 38 and 742 ms, linear 27 and 487 ms, lstm 33 and
745 ms, diagonal 21 and 298 ms, conv 22 and 369 ms, dilated 33 and 950 ms. The time of
dense grows with the power 1.95, of linear with 1.09, of lstm with 1.11, of diagonal
with 0.99 and of dilated with 1.19; the predicted peak memory of every mixer, dense
attention in blocks included, with 0.94 to 0.99. By the fitted powers linear attention
takes less time than dense attention from 502 tokens on (311 to 711); this was expected
only after it was measured.
"""

from dataclasses import replace

from attn_research.analysis.statistics import growth, overtaken
from attn_research.config import Config, Model, Population, Train
from attn_research.study import Expectation, Study

QUICK = Study(
    name="cost_scaling",
    question="What does a mixer cost as sequences grow?",
    claim="Attention costs quadratic time; windows, linear attention, recurrences and "
    "convolutions cost linear time.",
    base=Config(
        task="adding(length=1024)",
        model=Model(width=64),
        train=Train(
            steps=6,
            batch=1,
            eval_every=6,
            eval_batches=1,
            test_batches=1,
        ),
    ),
    axes={
        "task.length": (1024, 2048, 4096, 8192, 16384),
        "model.pattern": (
            "dense",
            "window(window=256)",
            "linear",
            "lstm",
            "diagonal",
            "conv",
            "dilated",
        ),
    },
    population=Population(),
    expectations=(
        Expectation(
            "The time of dense attention grows faster than linearly",
            lambda rows: growth(rows, "dense", "step_seconds"),
            low=1.3,
            high=2.1,
        ),
        Expectation(
            "The time of linear attention grows linearly",
            lambda rows: growth(rows, "linear", "step_seconds"),
            low=0.8,
            high=1.1,
        ),
        Expectation(
            "The memory of dense attention, computed in blocks, grows linearly",
            lambda rows: growth(rows, "dense", "peak_bytes"),
            low=0.8,
            high=1.1,
        ),
        Expectation(
            "Linear attention takes less time than dense attention at every length",
            lambda rows: overtaken(rows, "dense", "linear", "step_seconds"),
            high=1024.0,
            unit="tokens",
        ),
    ),
    figure="length_step_seconds",
    confounds=(
        "Width, layers, batch and task are those of every mixer.",
        "Every cell runs on the same device, one after another.",
    ),
)
FULL = replace(
    QUICK, axes={**QUICK.axes, "task.length": (1024, 4096, 16384, 65536, 131072)}
)
STUDIES = {"quick": QUICK, "full": FULL}
