"""Which mixer finds the answer to a question in a paragraph, byte by byte?

An encoder reads a question and a paragraph of Wikipedia (XQuAD, English) as bytes, 768
of both, and points at the first and the last byte of the answer: 860 questions whose
answer is there to learn, those of other articles to choose and to test. Without a look
at the text, the best span of fixed place and length has an F1 of 0.05. Every byte of
the paragraph as likely as any other is a loss of 6.36 nats; every word as likely to
begin and to end an answer, one of 4.54.

    python scripts/prepare_data.py xquad --raw_dir=DIR
    python scripts/sweep.py --experiment=question_answering \
        --out=runs/question_answering
    python scripts/report.py runs/question_answering

Quick size, 12 minutes of one core, F1 over bytes and loss on the test split, mean of
three seeds: gru 0.096 (0.069 to 0.134), 4.24 nats; dense 0.094 (0.074 to 0.106), 4.44;
conv,dense 0.090 (0.080 to 0.097), 4.34; linear 0.084 (0.069 to 0.114), 4.43; conv 0.084
(0.075 to 0.100), 4.50. What was expected holds: all know more than where words begin
and end, and find about twice what a fixed span does; no mixer is better than another.

`--size=memorise` trains one mixer on eight questions alone: a loss of 0.0003 nats in
the last hundred of 200 steps.
"""

from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter, itemgetter

from attn_research.analysis.statistics import Interval, level, reached
from attn_research.config import Config, Model, Population, Train
from attn_research.config import replace as change
from attn_research.study import Expectation, Row, Study

DENSE = "dense(positions=rope)"
FIXED, WORDS = 0.05, 4.54


def loss(rows: Sequence[Row]) -> Interval:
    """The test loss of the mixer whose loss is least, over seeds at its best rate."""
    mixers = {row["mixer"] for row in rows}
    found = [level(rows, mixer, itemgetter("test.loss")) for mixer in mixers]
    return min(found, key=attrgetter("mean"))


QUICK = Study(
    name="question_answering",
    question="Which mixer finds the answer to a question in a paragraph, byte by byte?",
    claim="From a thousand questions in bytes, small mixers point better than blindly.",
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
        Expectation("The best mixer beats a fixed span", reached, low=FIXED, unit="F1"),
        Expectation(
            "The best mixer knows more than where words begin and end",
            loss,
            high=WORDS,
            unit="nats",
        ),
    ),
)
FULL = replace(
    QUICK,
    base=change(
        QUICK.base,
        {
            "task.language": "all",
            "task.length": 2048,
            "model.width": 256,
            "model.layers": 6,
            "model.dropout": 0.2,
            "train.steps": 5000,
            "train.batch": 32,
            "train.eval_every": 250,
        },
    ),
    population=Population(seed=(0, 1, 2), lr=(3e-4, 1e-3)),
    expectations=(
        Expectation(
            "The best mixer finds more than a fixed span", reached, low=0.2, unit="F1"
        ),
    ),
)
MEMORISE = replace(
    QUICK,
    claim="A batch of questions can be learned by heart.",
    base=change(
        QUICK.base,
        {"train.distinct_batches": 1, "train.steps": 200, "train.eval_every": 100},
    ),
    axes={"model.pattern": (f"conv,{DENSE}",)},
    population=Population(seed=(0,), lr=(3e-3,)),
    expectations=(
        Expectation(
            "The loss on the batch in the last hundred steps",
            lambda rows: min(row["train_loss"] for row in rows),
            high=0.1,
            unit="nats",
        ),
    ),
)
STUDIES = {"quick": QUICK, "full": FULL, "memorise": MEMORISE}
