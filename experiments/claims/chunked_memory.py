"""Does chunked attention avoid the quadratic memory, and keep the quadratic time?

The same exact attention trains for a few steps at every length, once with the whole
matrix of scores and once in chunks, whose scores never exist all at once.

    python scripts/sweep.py --experiment=claims/chunked_memory --out=runs/chunked_memory
    python scripts/report.py runs/chunked_memory

Quick size, 1 minute of one core: supported. The exponents of growth with the length:

    memory of attention in chunks          0.90 (0.78 to 1.03)
    memory of attention with all scores    1.95 (1.91 to 2.00)
    time of attention in chunks            1.73 (1.45 to 2.01)
"""

from attn_research.analysis.statistics import growth
from attn_research.config import Config, Model, Population, Train
from attn_research.studies.study import Expectation, Study, variant

NAIVE = "dense(implementation=naive,heads=1)"
CHUNKED = "dense(implementation=chunked,heads=1)"


QUICK = Study(
    name="chunked_memory",
    question="Does chunked attention avoid the quadratic memory, and keep the "
    "quadratic time?",
    claim="Exact attention in chunks takes linear memory, but still quadratic time.",
    source="Rabe & Staats, 2021, arXiv:2112.05682; Dao et al., 2022, arXiv:2205.14135",
    base=Config(
        task="adding(length=1024)",
        model=Model(width=64, layers=1),
        train=Train(steps=6, batch=1, eval_every=6, eval_batches=1, test_batches=1),
    ),
    axes={
        "task.length": (1024, 2048, 4096, 8192),
        "model.pattern": (NAIVE, CHUNKED),
    },
    population=Population(),
    expectations=(
        Expectation(
            "The memory of attention in chunks grows with at most the power 1.2 of the "
            "length",
            lambda rows: growth(rows, CHUNKED, "peak_bytes"),
            high=1.2,
            why="Linear is 1, square 2; 0.2 is for what is constant.",
        ),
        Expectation(
            "The memory of attention with all its scores grows faster than the power "
            "1.2 of the length",
            lambda rows: growth(rows, NAIVE, "peak_bytes"),
            low=1.2,
            why="Linear is 1, square 2; beyond 1.2 it is not linear.",
        ),
        Expectation(
            "The time of attention in chunks grows faster than the power 1.2 of the "
            "length",
            lambda rows: growth(rows, CHUNKED, "step_seconds"),
            low=1.2,
            why="Linear is 1, square 2; beyond 1.2 it is not linear.",
        ),
    ),
    confounds=(
        "Both compute the same function, with the same parameters.",
        "All cells run on the same device, one after another.",
        "Memory is the peak that the compiler predicts for the program.",
    ),
    figure="length_peak_bytes",
)
FULL = variant(
    QUICK, axes={**QUICK.axes, "task.length": (1024, 2048, 4096, 8192, 16384)}
)
STUDIES = {"quick": QUICK, "full": FULL}
