"""Which mixer translates best, with little to learn from?

English sentences on the pandemic into French (TICO-19): 2,528 are for training, those
of other documents for validation and test, as 1,000 subwords shared by both languages.
56 subwords of an original are read and 64 of a translation written, about 160 bytes,
without repeating any triple (a decoder that may loop has a BLEU of 2.7 instead of 3.8).

Trivial translations have

                                          BLEU  chrF
    another sentence for all, mean of 24  0.3   19.0
    another sentence for all, best of 24  1.4   22.9
    the original itself                   2.3   25.0

Without a look at the original, n-gram models of French (interpolated Witten-Bell) have
2.74 bits per byte if they see two bytes, 1.95 if they see five.

    python scripts/prepare_data.py tico19 --raw_dir=DIR
    python scripts/sweep.py --experiment=translation --out=runs/translation
    python scripts/report.py runs/translation

Quick size, 22 minutes of one core (3 to 6 a mixer), bits per byte on the test split,
mean of three seeds with its interval, and BLEU and chrF of the best member:

    gru         1.834 (1.827 to 1.842)  3.8  20.4
    conv        1.913 (1.907 to 1.918)  1.8  18.2
    conv,dense  1.926 (1.915 to 1.941)  3.0  21.2
    dense       2.019 (2.009 to 2.027)  2.9  23.6
    linear      2.067 (2.065 to 2.069)  2.6  20.8

What was expected holds. "On March 11, 2020, the World Health Organization declared ...
a pandemic" becomes, by conv, "Le 11 mars, l’OMS a déclaré que la pandémie ...";
elsewhere dates and names are translated, sentences are not.

`--size=memorise` trains one mixer on only eight sentences: its loss is 0.005 nats in
the last hundred of 500 steps.
"""

from collections.abc import Sequence

from attn_research.analysis.statistics import best_row, reached
from attn_research.config import Config, Model, Population, Train
from attn_research.studies.study import Expectation, Row, Study, variant

DENSE = "dense(positions=rope)"
# Bits per byte of n-gram models of French alone that see five bytes, in the quick study
# and the full one.
COUNTS, LONG_COUNTS = 1.95, 1.85
# BLEU of one sentence for all (the best of 24), and chrF of the originals.
CONSTANT, COPIED = 1.4, 26.7


def best(rows: Sequence[Row], metric: str) -> float:
    """A metric of what the member best in validation writes."""
    return best_row(rows)[f"decoded.{metric}"]


QUICK = Study(
    name="translation",
    question="Which mixer translates best, with little to learn from?",
    claim="Minutes of training beat trivial translations; they do not make a "
    "translator.",
    base=Config(
        task="translation(data=tico19,origin=en,into=fr,source_length=56,length=64,"
        "subwords=1000,unrepeated=3)",
        model=Model(width=64, layers=2, mlp="gelu", mlp_ratio=2.0, dropout=0.1),
        train=Train(steps=600, batch=32, eval_every=200, eval_batches=9),
    ),
    axes={
        "model.pattern": (DENSE, "linear", "gru", "conv", f"conv,{DENSE}"),
    },
    population=Population(seed=(0, 1, 2), lr=(4e-3,)),
    expectations=(
        Expectation(
            "The best mixer predicts French better than a model of byte 6-grams",
            reached,
            high=COUNTS,
            unit="bits per byte",
            why="A model of byte 6-grams, which never sees the source.",
        ),
        Expectation(
            "The best mixer translates nearer to the references than one sentence for "
            "all",
            lambda rows: best(rows, "bleu"),
            low=CONSTANT,
            unit="BLEU",
            why="The best constant sentence.",
        ),
    ),
)
FULL = variant(
    QUICK,
    claim="Reading the original helps to write its translation.",
    base={
        "task.source_length": 256,
        "task.length": 256,
        "model.width": 256,
        "model.layers": 6,
        "model.dropout": 0.2,
        "train.steps": 10_000,
        "train.batch": 64,
        "train.eval_every": 500,
        "train.decode": 256,
    },
    population=Population(seed=(0, 1, 2), lr=(5e-4, 2e-3)),
    expectations=(
        Expectation(
            "The best mixer predicts translations better than a model of byte 6-grams",
            reached,
            high=LONG_COUNTS,
            unit="bits per byte",
            why="A model of byte 6-grams, which never sees the source.",
        ),
        Expectation(
            "The best mixer translates nearer to the references than the originals are",
            lambda rows: best(rows, "chrf"),
            low=COPIED,
            unit="chrF",
            why="The untranslated source.",
        ),
    ),
)
MEMORISE = variant(
    QUICK,
    claim="One batch of sentences can be memorised.",
    base={
        "train.distinct_batches": 1,
        "train.batch": 8,
        "train.steps": 500,
        "train.eval_every": 100,
        "train.decode": 0,
    },
    axes={"model.pattern": (f"conv,{DENSE}",)},
    population=Population(seed=(0,), lr=(5e-3,)),
    expectations=(
        Expectation(
            "The training loss on one batch of sentences falls to almost zero",
            lambda rows: min(row["train_loss"] for row in rows),
            high=0.05,
            unit="nats per byte",
            why="Almost zero beside the 1.4 nats per byte of counts.",
        ),
    ),
)
STUDIES = {"quick": QUICK, "full": FULL, "memorise": MEMORISE}
