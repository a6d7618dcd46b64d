"""How much of a long-range benchmark does a window of a few tokens reach?

Three kinds of tasks of the Long Range Arena, at a smaller size: nested operations on
lists, a class of text in bytes, and images in pieces of 4 x 4 pixels in reading order.
Attention sees all of a sequence; through a window each token sees seven to either side,
twice that in two layers; through one of a single token none sees another, and the mean
of all is what is left.

    python scripts/prepare_data.py listops_d20s subjectivity mnist_t10k --raw_dir=DIR
    python scripts/sweep.py --experiment=claims/local_benchmarks \\
        --out=runs/local_benchmarks --workers=2
    python scripts/report.py runs/local_benchmarks

Quick size, 7 minutes of one core: supported. Of the accuracy of attention to all a
window lacks 0.014 in images (0.012 to 0.017), 0.014 in lists (0 to 0.025), and in text
nothing: it has 0.012 more (0.003 to 0.030). Tokens alone lack 0.314 in images (0.308 to
0.320).
"""

from collections.abc import Sequence
from dataclasses import replace

from attn_research.analysis.statistics import Interval, lead
from attn_research.config import Config, Model, Population, Train
from attn_research.config import replace as change
from attn_research.study import Expectation, Row, Study

DENSE, WIDE = "dense(positions=rope)", 8
WINDOW = f"window(window={WIDE},positions=rope)"
ALONE = "window(window=1)"
LISTS = "classification(data=listops_d20s,length=128)"
TEXT = "classification(data=subjectivity,length=96)"
IMAGES = "image_classification(data=mnist_t10k,form=patches)"


def behind(rows: Sequence[Row], data: str, mixer: str = WINDOW) -> Interval:
    """How much accuracy a window lacks of attention to all of a sequence."""
    return lead([row for row in rows if row["task.data"] == data], DENSE, mixer)


def expectations(text: str) -> tuple[Expectation, ...]:
    """What is expected of images, of this set of texts, and of lists."""
    return (
        Expectation(
            "In images a window lacks nothing that matters",
            lambda rows: behind(rows, "mnist_t10k"),
            high=0.02,
            unit="accuracy",
        ),
        Expectation(
            "In text it does not either",
            lambda rows: behind(rows, text),
            high=0.02,
            unit="accuracy",
        ),
        Expectation(
            "In nested lists it lacks little",
            lambda rows: behind(rows, "listops_d20s"),
            high=0.05,
            unit="accuracy",
        ),
        Expectation(
            "Tokens that see no other lack something in images: the task is more than "
            "a mean",
            lambda rows: behind(rows, "mnist_t10k", ALONE),
            low=0.02,
            unit="accuracy",
        ),
    )


QUICK = Study(
    name="local_benchmarks",
    question="How much of a long-range benchmark does a window of a few tokens reach?",
    claim="Much of what the Long Range Arena asks is local: a window of a few tokens "
    "reaches what attention to everything does.",
    source="Miralles-Gonzalez et al., 2025, arXiv:2501.14850; Tay et al., 2020, "
    "arXiv:2011.04006",
    base=Config(
        task=LISTS,
        model=Model(width=32, positions="learned", mlp="gelu", mlp_ratio=2.0),
        train=Train(steps=300, batch=32, eval_every=100, eval_batches=32),
    ),
    axes={"task": (LISTS, TEXT, IMAGES), "model.pattern": (DENSE, WINDOW, ALONE)},
    population=Population(seed=(0, 1, 2), lr=(3e-3,)),
    expectations=expectations("subjectivity"),
    confounds=(
        "Parameters are the same with and without a window; of tokens alone they are "
        "as many.",
        "Width, layers, MLP, positions, steps, batch and learning rate are equal.",
    ),
)
FULL = replace(
    QUICK,
    base=change(
        QUICK.base,
        {
            "model.width": 128,
            "model.layers": 4,
            "train.steps": 5000,
            "train.eval_every": 500,
        },
    ),
    axes={
        "task": (
            "classification(data=listops_d20s,length=512)",
            "classification(data=movie_reviews,length=2048)",
            "image_classification(data=mnist_t10k,form=pixels)",
        ),
        "model.pattern": (
            DENSE,
            WINDOW,
            "window(window=32,positions=rope)",
            "window(positions=rope)",
            ALONE,
        ),
    },
    population=Population(seed=(0, 1, 2, 3, 4), lr=(3e-4, 1e-3)),
    expectations=expectations("movie_reviews"),
)
STUDIES = {"quick": QUICK, "full": FULL}
