"""Which mixer translates best, from bytes to bytes?

English sentences on the pandemic into French (TICO-19): 2,528 to learn, those of other
documents to choose and to test. Strided convolutions make a position of four bytes
that are read; the translation is written byte by byte.

Without a look at the original, counts of what follows two bytes of French
(interpolated, Witten-Bell) have 2.74 bits per byte, of what follows five 1.95. chrF is
25.7 of the original in place of its translation, 17.0 of one translation in place of
all (the mean of 24), all cut at 160 bytes as in the quick study.

    python scripts/prepare_data.py tico19 --raw_dir=DIR
    python scripts/sweep.py --experiment=translation --out=runs/translation
    python scripts/report.py runs/translation

A first member (conv,dense, 300 steps, one seed) has 2.33 bits per byte on the test
split, and has learned French phrases of the pandemic: written greedily they repeat
themselves, with a chrF of 15.1, below one translation for all.

`--size=memorise` trains one mixer on eight sentences alone: 500 steps, a minute and a
half. Its training loss was 0.001 nats per byte, and written greedily all eight came out
to the last byte.
"""

from collections.abc import Sequence
from dataclasses import replace

from attn_research.analysis.statistics import reached
from attn_research.config import Config, Model, Population, Train
from attn_research.config import replace as change
from attn_research.study import Expectation, Row, Study

DENSE = "dense(positions=rope)"
# Of the French alone, in the quick study and the full one: bits per byte of counts of
# what follows two bytes, or five.
COUNTS, LONG_COUNTS = 2.74, 1.85
# chrF of one translation in place of all (the mean of 24), and of the originals.
CONSTANT, COPIED = 17.0, 26.7


def chrf(rows: Sequence[Row]) -> float:
    """chrF of what the mixer writes that is best in it."""
    return max(row["decoded.chrf"] for row in rows)


QUICK = Study(
    name="translation",
    question="Which mixer translates best, from bytes to bytes?",
    claim="A minute of training beats what is trivial; it does not make a translator.",
    base=Config(
        task="translation(data=tico19,origin=en,into=fr,source_length=160,length=160)",
        model=Model(
            width=64, layers=2, stem="conv", strides=(4,), mlp="gelu", mlp_ratio=2.0
        ),
        train=Train(steps=200, batch=16, eval_every=100, eval_batches=17),
    ),
    axes={
        "model.pattern": (DENSE, "linear", "gru", "conv", f"conv,{DENSE}"),
    },
    population=Population(seed=(0, 1, 2), lr=(5e-3,)),
    expectations=(
        Expectation(
            "The best mixer predicts French better than counts of three bytes do",
            reached,
            high=COUNTS,
            unit="bits per byte",
        ),
        Expectation(
            "What the best one writes is nearer to the references than one sentence "
            "for all",
            chrf,
            low=CONSTANT,
            unit="chrF",
        ),
    ),
)
FULL = replace(
    QUICK,
    claim="What is read helps to write it in another language.",
    base=change(
        QUICK.base,
        {
            "task.source_length": 512,
            "task.length": 512,
            "model.width": 256,
            "model.layers": 6,
            "model.dropout": 0.2,
            "train.steps": 10_000,
            "train.batch": 64,
            "train.eval_every": 500,
            "train.decode": 256,
        },
    ),
    population=Population(seed=(0, 1, 2), lr=(5e-4, 2e-3)),
    expectations=(
        Expectation(
            "The best mixer predicts better than counts of six bytes do",
            reached,
            high=LONG_COUNTS,
            unit="bits per byte",
        ),
        Expectation(
            "What the best one writes is nearer to the references than the originals",
            chrf,
            low=COPIED,
            unit="chrF",
        ),
    ),
)
MEMORISE = replace(
    QUICK,
    claim="One batch of sentences can be learned by heart.",
    base=change(
        QUICK.base,
        {
            "train.distinct_batches": 1,
            "train.batch": 8,
            "train.steps": 500,
            "train.eval_every": 100,
            "train.decode": 0,
        },
    ),
    axes={"model.pattern": (f"conv,{DENSE}",)},
    population=Population(seed=(0,), lr=(5e-3,)),
    expectations=(
        Expectation(
            "The loss on the batch in the last hundred steps",
            lambda rows: min(row["train_loss"] for row in rows),
            high=0.05,
            unit="nats per byte",
        ),
    ),
)
STUDIES = {"quick": QUICK, "full": FULL, "memorise": MEMORISE}
