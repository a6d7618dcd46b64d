"""Does pretraining on the task's own data close the gap between mixers?

Attention and a diagonal recurrence tell subjective sentences from objective ones, byte
by byte: once from scratch, and once from a trunk that first filled in hidden bytes of
the same 8,000 training sentences, without their classes. First the pretraining of both;
then, for the same steps, the task from scratch and from the pretrained trunk, each
mixer from its own:

    python scripts/prepare_data.py subjectivity --raw_dir=DIR
    python scripts/sweep.py --experiment=claims/own_pretraining --size=pretraining \\
        --out=runs/own_pretraining_before --workers=2
    python scripts/sweep.py --experiment=claims/own_pretraining \\
        --out=runs/own_pretraining --workers=2 \\
        --set init.path=none,runs/own_pretraining_before
    python scripts/report.py runs/own_pretraining

Quick size, 10 minutes of one core in all: not tested, as there is no gap to close from
scratch. In accuracy,

    attention is behind, from scratch            0.004 (-0.008 to 0.015)
    attention is behind, with pretraining        0.018 (0.004 to 0.038)
    the gap is larger with pretraining           0.014 (0.004 to 0.024)
    attention gains by pretraining               0.024 (0.013 to 0.035)

The best of the rates is the largest, 0.004, and both still learn when the steps end.
"""

from collections.abc import Sequence

from attn_research.analysis.statistics import (
    Interval,
    at_best_rate,
    by_seed,
    mean_interval,
    paired,
)
from attn_research.config import Config, Model, Population, Train
from attn_research.studies.study import Expectation, Gate, Row, Study, variant

DENSE, DIAGONAL = "dense(positions=rope)", "diagonal"


def reached(rows: Sequence[Row], mixer: str, pretrained: bool) -> dict[int, float]:
    """Seed -> the accuracy of a mixer, from scratch or from a pretrained trunk."""
    asked = (mixer, pretrained)
    started = [
        row for row in rows if (row["mixer"], row["init.path"] is not None) == asked
    ]
    return by_seed(at_best_rate(started))


def behind(rows: Sequence[Row], pretrained: bool) -> dict[int, float]:
    """Seed -> the accuracy of the recurrence less that of attention."""
    ahead, last = (reached(rows, mixer, pretrained) for mixer in (DIAGONAL, DENSE))
    return {seed: ahead[seed] - last[seed] for seed in ahead.keys() & last.keys()}


def closed(rows: Sequence[Row]) -> Interval:
    """How much smaller the gap is with pretraining."""
    return paired(behind(rows, False), behind(rows, True))


def gain(rows: Sequence[Row]) -> Interval:
    """The accuracy that attention gains by pretraining."""
    return paired(reached(rows, DENSE, True), reached(rows, DENSE, False))


QUICK = Study(
    name="own_pretraining",
    question="Does pretraining on the task's own data close the gap between mixers?",
    claim="Pretraining on the task's own data closes gaps between mixers: much of what "
    "separates attention from state spaces is where training starts.",
    source="Amos et al., 2023, arXiv:2310.02980",
    base=Config(
        task="classification(data=subjectivity,length=96)",
        model=Model(width=32, mlp="gelu", mlp_ratio=2.0),
        train=Train(steps=150, batch=32, eval_every=50, eval_batches=32),
    ),
    axes={"init.path": (None,), "model.pattern": (DENSE, DIAGONAL)},
    population=Population(seed=tuple(range(8)), lr=(1e-3, 4e-3)),
    gates=(
        Gate(
            "There is a gap to close: from scratch, attention is behind",
            lambda rows: mean_interval(list(behind(rows, False).values())),
            low=0.03,
            unit="accuracy",
            why="Twice the interval of one accuracy over 1,000 test sentences.",
        ),
    ),
    expectations=(
        Expectation(
            "Pretraining narrows attention's deficit",
            closed,
            low=0.0,
            unit="accuracy",
            why="Narrows: any difference counts.",
        ),
        Expectation(
            "From scratch, attention is behind the recurrence",
            lambda rows: mean_interval(list(behind(rows, False).values())),
            low=0.0,
            unit="accuracy",
            why="Behind: any difference counts.",
        ),
        Expectation(
            "With pretraining, attention is hardly behind the recurrence",
            lambda rows: mean_interval(list(behind(rows, True).values())),
            high=0.02,
            unit="accuracy",
            why="Hardly: one answer of fifty.",
        ),
        Expectation(
            "Attention gains accuracy by pretraining",
            gain,
            low=0.01,
            unit="accuracy",
            why="One answer of a hundred.",
        ),
    ),
    confounds=(
        "Pretraining sees the training sentences of the task without their classes, "
        "and no validation or test sentence.",
        "All mixers share width, layers, MLP, steps, batch and learning rates, in "
        "pretraining too; the steps of pretraining are additional.",
    ),
)
LARGE = {
    "model.width": 128,
    "model.layers": 4,
    "train.steps": 3000,
    "train.eval_every": 250,
}
FULL = variant(
    QUICK,
    base={**LARGE, "task.length": 256},
    population=Population(seed=(0, 1, 2, 3, 4), lr=(3e-4, 1e-3, 3e-3)),
)
HIDDEN = {
    "task": "masked_text(data=subjectivity,length=96)",
    "train.steps": 2000,
    "train.eval_every": 500,
    "train.eval_batches": 8,
    "train.decode": 0,
}
PRETRAINING = variant(
    QUICK,
    base=HIDDEN,
    population=Population(seed=(0,), lr=(3e-3, 1e-2)),
)
LONGER = {"task.length": 256, "train.steps": 20_000, "train.eval_every": 1000}
STUDIES = {
    "quick": QUICK,
    "full": FULL,
    "pretraining": PRETRAINING,
    "full_pretraining": variant(PRETRAINING, base={**LARGE, **LONGER}),
}
