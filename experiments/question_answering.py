"""Which mixer finds the answer to a question in a paragraph, byte by byte?

An encoder reads a question and a paragraph of Wikipedia (XQuAD, English) as bytes, 768
of both, and points at the first and the last byte of the answer. Without a look at the
text, a guess has

    F1, the best span of fixed place and length                    0.05
    loss, all bytes of the paragraph equally likely                6.36 nats
    loss, all words equally likely to begin and end the answer     4.54 nats

The 860 questions whose answer is among the bytes read are for training, those on other
articles for validation and test.

    python scripts/prepare_data.py xquad --raw_dir=DIR
    python scripts/sweep.py --experiment=question_answering \\
        --out=runs/question_answering
    python scripts/report.py runs/question_answering

Quick size, 12 minutes of one core, F1 over bytes and loss on the test split, mean of
three seeds:

    gru         0.096 (0.069 to 0.134)  4.24 nats
    dense       0.094 (0.074 to 0.106)  4.44
    conv,dense  0.090 (0.080 to 0.097)  4.34
    linear      0.084 (0.069 to 0.114)  4.43
    conv        0.084 (0.075 to 0.100)  4.50

What was expected holds: every mixer knows more than where words begin and end, and
finds about twice what a fixed span does; no mixer is better than another.

`--size=memorise` trains one mixer on only eight questions: its loss is 0.0003 nats in
the last hundred of 200 steps.
"""

from collections.abc import Sequence
from operator import itemgetter

from attn_research.analysis.statistics import Interval, level, ranked, reached
from attn_research.config import Config, Model, Population, Train
from attn_research.studies.study import Expectation, Row, Study, variant

DENSE = "dense(positions=rope)"
FIXED, WORDS = 0.05, 4.54


def loss(rows: Sequence[Row]) -> Interval:
    """The test loss of the mixer best in validation, over seeds at its best rate."""
    return level(rows, ranked(rows)[0], itemgetter("test.loss"))


QUICK = Study(
    name="question_answering",
    question="Which mixer finds the answer to a question in a paragraph, byte by byte?",
    claim="From a thousand questions in bytes, small mixers beat a blind guess.",
    base=Config(
        task="question_answering(data=xquad,language=en,length=768)",
        model=Model(width=48, layers=2, stem="conv", mlp="gelu", mlp_ratio=2.0),
        train=Train(steps=200, batch=8, eval_every=100, eval_batches=14),
    ),
    axes={
        "model.pattern": (DENSE, "linear", "gru", "conv(width=9)", f"conv,{DENSE}"),
    },
    population=Population(seed=(0, 1, 2), lr=(4e-3,)),
    expectations=(
        Expectation(
            "The best mixer beats a fixed span",
            reached,
            low=FIXED,
            unit="F1",
            why="The best span at fixed places.",
        ),
        Expectation(
            "The best mixer knows more than where words begin and end",
            loss,
            high=WORDS,
            unit="nats",
            why="The loss of a model that knows the ends of words alone.",
        ),
    ),
)
FULL = variant(
    QUICK,
    base={
        "task.language": "all",
        "task.length": 2048,
        "model.width": 256,
        "model.layers": 6,
        "model.dropout": 0.2,
        "train.steps": 5000,
        "train.batch": 32,
        "train.eval_every": 250,
    },
    population=Population(seed=(0, 1, 2), lr=(3e-4, 1e-3)),
    expectations=(
        Expectation(
            "The best mixer beats a fixed span by far",
            reached,
            low=0.2,
            unit="F1",
            why="Several times a fixed span.",
        ),
    ),
)
MEMORISE = variant(
    QUICK,
    claim="One batch of questions can be memorised.",
    base={"train.distinct_batches": 1, "train.steps": 200, "train.eval_every": 100},
    axes={"model.pattern": (f"conv,{DENSE}",)},
    population=Population(seed=(0,), lr=(3e-3,)),
    expectations=(
        Expectation(
            "The training loss on one batch of questions falls to almost zero",
            lambda rows: min(row["train_loss"] for row in rows),
            high=0.1,
            unit="nats",
            why="Almost zero beside the 4.5 nats of a guess.",
        ),
    ),
)
STUDIES = {"quick": QUICK, "full": FULL, "memorise": MEMORISE}
