"""How much of a long-range benchmark does a window of a few tokens reach?

Three kinds of tasks of the Long Range Arena, at a smaller size: nested operations on
lists, a class of text in bytes, and images in pieces of 4 x 4 pixels in reading order.
Attention sees the whole sequence. In a window each token sees seven to either side,
twice that in two layers; in a window of a single token none sees another, and only the
mean of all is left.

    python scripts/prepare_data.py listops_d20s subjectivity mnist_t10k --raw_dir=DIR
    python scripts/sweep.py --experiment=claims/local_benchmarks \\
        --out=runs/local_benchmarks --workers=2
    python scripts/report.py runs/local_benchmarks

Quick size, 7 minutes of one core: undecided with three seeds. The accuracy of attention
less that of

    a window, in images              0.014 (0.008 to 0.027)
    a window, in lists               0.014 (-0.050 to 0.046)
    a window, in text               -0.012 (-0.108 to 0.027)
    tokens alone, in images          0.314 (0.296 to 0.329)
"""

from collections.abc import Sequence

from attn_research.analysis.statistics import Interval, lead
from attn_research.config import Config, Model, Population, Train
from attn_research.studies.study import Expectation, Row, Study, variant

DENSE, WIDE = "dense(positions=rope)", 8
WINDOW = f"window(window={WIDE},positions=rope)"
ALONE = "window(window=1)"
LISTS = "classification(data=listops_d20s,length=128)"
TEXT = "classification(data=subjectivity,length=96)"
IMAGES = "image_classification(data=mnist_t10k,form=patches)"


def behind(rows: Sequence[Row], data: str, mixer: str = WINDOW) -> Interval:
    """The accuracy of attention to the whole sequence less that of a window."""
    return lead([row for row in rows if row["task.data"] == data], DENSE, mixer)


def expectations(text: str) -> tuple[Expectation, ...]:
    """The expectations on images, on this set of texts, and on lists."""
    return (
        Expectation(
            "In images, a window is hardly less accurate than full attention",
            lambda rows: behind(rows, "mnist_t10k"),
            high=0.02,
            unit="accuracy",
            why="Hardly: one answer of fifty.",
        ),
        Expectation(
            "In text, a window is hardly less accurate than full attention",
            lambda rows: behind(rows, text),
            high=0.02,
            unit="accuracy",
            why="Hardly: one answer of fifty.",
        ),
        Expectation(
            "In nested lists, a window is little less accurate than full attention",
            lambda rows: behind(rows, "listops_d20s"),
            high=0.05,
            unit="accuracy",
            why="Little: one answer of twenty, as lists are harder.",
        ),
        Expectation(
            "In images, tokens that see no other are less accurate than full "
            "attention: the task is more than a mean",
            lambda rows: behind(rows, "mnist_t10k", ALONE),
            low=0.02,
            unit="accuracy",
            why="Less: one answer of fifty, what counts as hardly elsewhere.",
        ),
    )


QUICK = Study(
    name="local_benchmarks",
    question="How much of a long-range benchmark does a window of a few tokens reach?",
    claim="Much of what the Long Range Arena asks is local: a window of a few tokens "
    "reaches what attention to the whole sequence does.",
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
        "All mixers have the same number of parameters.",
        "Width, layers, MLP, positions, steps, batch and learning rate are equal.",
    ),
)
FULL = variant(
    QUICK,
    base={
        "model.width": 128,
        "model.layers": 4,
        "train.steps": 5000,
        "train.eval_every": 500,
    },
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
