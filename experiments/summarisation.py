"""Which mixer best summarises what an hour of meeting said about a question?

The encoder reads a question and the transcript of a meeting (QMSum; 50 kB at the
median, 147 kB at most) from its start: 4,096 subwords from a vocabulary of 1,000.
Strided convolutions make a position of 32 of them. The decoder writes the first 64
subwords of the answer, about 180 bytes, and repeats no pair of subwords: greedy
decoding would loop. 1,137 questions are for training, those on other meetings for
validation and test. Trivial answers have a ROUGE-1 of

    the question                      0.18
    the start of the meeting          0.10
    one answer for all (mean of 24)   0.16

Without a look at question or meeting, n-gram models of the answers (interpolated
Witten-Bell) have 2.61 bits per byte if they see two bytes, 1.73 if they see five.

    python scripts/prepare_data.py qmsum --raw_dir=DIR
    python scripts/sweep.py --experiment=summarisation --out=runs/summarisation
    python scripts/report.py runs/summarisation

Quick size, 16 minutes of one core, bits per byte on the test split, mean of three seeds
with its interval, and ROUGE-1 of the best member:

    gru         1.940 (1.928 to 1.947)  0.210
    conv        1.975 (1.969 to 1.984)  0.219
    conv,dense  1.985 (1.971 to 1.995)  0.204
    linear      2.046 (2.035 to 2.060)  0.213
    dense       2.057 (2.050 to 2.061)  0.206

What was expected holds, and the claim too: the answers are phrases of such meetings,
nearly the same for every question. If pairs of subwords may repeat and triples may not,
the best ROUGE-1 is 0.179 (on validation, which chose, gru has 0.248 and 0.188).

`--size=memorise` trains one mixer on only sixteen answers: its loss is 0.008 nats in
the last hundred of 300 steps.
"""

from collections.abc import Sequence

from attn_research.analysis.statistics import (
    Interval,
    at_best_rate,
    best_row,
    by_seed,
    paired,
    reached,
)
from attn_research.config import Config, Model, Population, Train
from attn_research.studies.study import Expectation, Row, Study, variant

DENSE, HYBRID = "dense(positions=rope)", "conv,dense(positions=rope)"
# Bits per byte of n-gram models of the answers alone: of two bytes in the quick study,
# of five in the full one.
COUNTS, LONG_COUNTS = 2.61, 1.65
# ROUGE-1 of the question as the answer, and of one answer for all (the best of 24).
QUESTION, CONSTANT = 0.18, 0.24


def gain(rows: Sequence[Row]) -> Interval:
    """Bits per byte that the hybrid saves by reading most of a meeting, not its start.

    The difference is at equal seeds, each at its best rate.
    """
    near, far = (
        by_seed(
            at_best_rate(
                [
                    row
                    for row in rows
                    if (row["mixer"], row["task.source_length"]) == (HYBRID, length)
                ]
            )
        )
        for length in (64, 32768)
    )
    return paired(near, far)


def rouge(rows: Sequence[Row]) -> float:
    """ROUGE-1 of what the member best in validation writes."""
    return best_row(rows)["decoded.rouge1"]


QUICK = Study(
    name="summarisation",
    question="Which mixer best summarises what an hour of meeting said about a "
    "question?",
    claim="A minute of training beats trivial answers; it does not make a summary.",
    base=Config(
        task="summarisation(data=qmsum,source_length=4096,length=64,subwords=1000,"
        "unrepeated=2)",
        model=Model(
            width=64, layers=2, strides=(8, 4), mlp="gelu", mlp_ratio=2.0, dropout=0.1
        ),
        train=Train(steps=250, batch=16, eval_every=125, eval_batches=8),
    ),
    axes={
        "model.pattern": (DENSE, "linear", "gru", "conv", HYBRID),
    },
    population=Population(seed=(0, 1, 2), lr=(4e-3,)),
    expectations=(
        Expectation(
            "The best mixer predicts answers better than a model of byte trigrams",
            reached,
            high=COUNTS,
            unit="bits per byte",
            why="A model of byte trigrams, which never sees the meeting.",
        ),
        Expectation(
            "The best mixer writes answers nearer to the references than the question "
            "is",
            rouge,
            low=QUESTION,
            unit="ROUGE-1",
            why="The words of the question in place of an answer.",
        ),
    ),
)
FULL = variant(
    QUICK,
    claim="The more of a meeting a model reads, the better it answers.",
    base={
        "task.length": 256,
        "model.width": 256,
        "model.layers": 6,
        "model.dropout": 0.2,
        "model.strides": (4, 4),
        "train.steps": 5000,
        "train.batch": 32,
        "train.eval_every": 250,
        "train.decode": 256,
    },
    axes={
        "model.pattern": (*QUICK.axes["model.pattern"], "gated_delta", "mamba2"),
        "task.source_length": (64, 4096, 32768),
    },
    population=Population(seed=(0, 1, 2), lr=(5e-4, 2e-3)),
    expectations=(
        Expectation(
            "The hybrid predicts answers better if it reads most of a meeting, not "
            "only its start",
            gain,
            low=0.0,
            unit="bits per byte",
            why="Any gain counts: the steps are the same.",
        ),
        Expectation(
            "The best mixer predicts answers better than a model of byte 6-grams",
            reached,
            high=LONG_COUNTS,
            unit="bits per byte",
            why="A model of byte 6-grams, which never sees the meeting.",
        ),
        Expectation(
            "The best mixer writes answers nearer to the references than one answer "
            "for all",
            rouge,
            low=CONSTANT,
            unit="ROUGE-1",
            why="The best constant answer.",
        ),
    ),
)
MEMORISE = variant(
    QUICK,
    claim="One batch of answers can be memorised.",
    base={
        "train.distinct_batches": 1,
        "train.steps": 300,
        "train.eval_every": 100,
        "train.decode": 0,
    },
    axes={"model.pattern": (HYBRID,)},
    population=Population(seed=(0,), lr=(5e-3,)),
    expectations=(
        Expectation(
            "The training loss on one batch of answers falls to almost zero",
            lambda rows: min(row["train_loss"] for row in rows),
            high=0.05,
            unit="nats per byte",
            why="Almost zero beside the 1.2 nats per byte of counts.",
        ),
    ),
)
STUDIES = {"quick": QUICK, "full": FULL, "memorise": MEMORISE}
