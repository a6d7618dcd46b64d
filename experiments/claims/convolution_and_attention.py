"""Do convolution and attention together beat either alone, on images and on audio?

A layer of a short convolution below a layer of attention, beside two layers of each.
Heads of 6 numbers give attention the parameters of the convolution, but for the taps of
the latter. The digits are written, in pieces of 4 x 4 pixels, or spoken, in frames of a
hundredth of a second.

    python scripts/prepare_data.py mnist_t10k fsdd --raw_dir=DIR
    python scripts/sweep.py --experiment=claims/convolution_and_attention \\
        --out=runs/convolution_and_attention --workers=2
    python scripts/report.py runs/convolution_and_attention

Quick size, 6 minutes of one core: undecided, on images and on audio. The accuracy that
both together have more than

              attention alone              convolution alone
    images     0.013 (-0.0003 to 0.026)   -0.014 (-0.029 to 0.003)
    audio     -0.003 (-0.013 to 0.005)    -0.004 (-0.013 to 0.003)

On audio each of the three is right in 98 of 100.
"""

from collections.abc import Sequence

from attn_research.analysis.statistics import Interval, lead
from attn_research.config import Config, Model, Population, Train
from attn_research.studies.study import Expectation, Row, Study, variant

CONV, DENSE = "conv", "dense(head_size=6,positions=rope)"
LARGE = "dense(head_size=24,positions=rope)"
IMAGES = "image_classification(data=mnist_t10k,form=patches)"
AUDIO = "audio_classification(data=fsdd,form=frames,samples=4800)"
NAMES = {"image_classification": "images", "audio_classification": "audio"}


def ahead(rows: Sequence[Row], task: str, both: str, alone: str) -> Interval:
    """The lead in accuracy on a task of both together over one alone."""
    return lead([row for row in rows if row["task"] == task], both, alone)


def expectations(attention: str) -> tuple[Expectation, ...]:
    """That a convolution below this attention beats either alone on each task."""
    both = f"{CONV},{attention}"
    return tuple(
        Expectation(
            f"On {data}, convolution and attention together beat {other} alone",
            lambda rows, task=task, alone=alone: ahead(rows, task, both, alone),
            low=0.0,
            unit="accuracy",
            why="Beats: any difference counts.",
        )
        for task, data in NAMES.items()
        for other, alone in (("convolution", CONV), ("attention", attention))
    )


QUICK = Study(
    name="convolution_and_attention",
    question="Do convolution and attention together beat either alone, on images and "
    "on audio?",
    claim="Convolution and attention together beat either alone on images and audio, "
    "at equal numbers of parameters.",
    source="Gulati et al., 2020, arXiv:2005.08100; Dai et al., 2021, arXiv:2106.04803; "
    "Xiao et al., 2021, arXiv:2106.14881",
    base=Config(
        task=IMAGES,
        model=Model(
            width=32, positions="learned", dropout=0.1, mlp="gelu", mlp_ratio=2.0
        ),
        train=Train(steps=300, batch=32, eval_every=100, eval_batches=32),
    ),
    axes={"task": (IMAGES, AUDIO), "model.pattern": (f"{CONV},{DENSE}", DENSE, CONV)},
    population=Population(seed=tuple(range(8)), lr=(2e-3, 6e-3)),
    expectations=expectations(DENSE),
    confounds=(
        "The numbers of parameters are equal within 3 %.",
        "All mixers share width, layers, MLP, positions, data, steps, batch and "
        "learning rates.",
    ),
)
FULL = variant(
    QUICK,
    base={"model.width": 128, "model.layers": 4, "train.steps": 10_000},
    axes={
        "task": (IMAGES, AUDIO),
        "model.pattern": (f"{CONV},{LARGE}", LARGE, CONV),
    },
    expectations=expectations(LARGE),
    population=Population(seed=(0, 1, 2, 3, 4), lr=(3e-4, 1e-3, 3e-3)),
)
STUDIES = {"quick": QUICK, "full": FULL}
