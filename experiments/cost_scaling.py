"""How does the cost of a mixer grow with the length of a sequence?

Each mixer trains for a few steps at every length; the report fits the exponents of the
time of a step, of the predicted peak memory and of the decoding state.

    python scripts/sweep.py --experiment=cost_scaling --out=runs/cost_scaling
    python scripts/report.py runs/cost_scaling

Quick size, about 15 minutes of one core, the time of a training step and the exponent
with which it grows:

                     1,024 tokens  16,384 tokens  exponent
    dense            53 ms         11.2 s         1.95
    window of 256    38 ms         742 ms
    linear           27 ms         487 ms         1.09
    lstm             33 ms         745 ms         1.11
    diagonal         21 ms         298 ms         0.99
    conv             22 ms         369 ms
    dilated          33 ms         950 ms         1.19

The predicted peak memory of every mixer, including dense attention in blocks, grows
with an exponent of 0.94 to 0.99. By the fitted powers, linear attention takes less time
than dense attention from 502 tokens on (311 to 711); this expectation was stated only
after the measurement.
"""

from attn_research.analysis.statistics import growth, overtaken
from attn_research.config import Config, Model, Population, Train
from attn_research.studies.study import Expectation, Study, variant

QUICK = Study(
    name="cost_scaling",
    question="How does the cost of a mixer grow with the length of a sequence?",
    claim="Attention takes quadratic time; windows, linear attention, recurrences and "
    "convolutions take linear time.",
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
            why="Between linear (1) and square (2), with room for timing.",
        ),
        Expectation(
            "The time of linear attention grows linearly",
            lambda rows: growth(rows, "linear", "step_seconds"),
            low=0.8,
            high=1.1,
            why="An exponent of 1, with room for timing.",
        ),
        Expectation(
            "The memory of dense attention, computed in blocks, grows linearly",
            lambda rows: growth(rows, "dense", "peak_bytes"),
            low=0.8,
            high=1.1,
            why="An exponent of 1, with room for what is constant.",
        ),
        Expectation(
            "Linear attention takes less time than dense attention at every length",
            lambda rows: overtaken(rows, "dense", "linear", "step_seconds"),
            high=1024.0,
            unit="tokens",
            why="The shortest length: it takes less time from there on.",
        ),
    ),
    figure="length_step_seconds",
    confounds=(
        "All mixers share width, layers, batch and task.",
        "All cells run on the same device, one after another.",
    ),
)
FULL = variant(
    QUICK, axes={**QUICK.axes, "task.length": (1024, 4096, 16384, 65536, 131072)}
)
STUDIES = {"quick": QUICK, "full": FULL}
