"""Does attention point from a pronoun, or a name used again, to its antecedent?

Two language models. One reads made-up sentences in which "she" or "he" at the end can
mean one of two persons, and answers whom; one predicts the bytes of Wikipedia's
passages, in which annotators have marked a pronoun and two names. On validation
sequences the head is chosen that points best; on test sequences it is measured how much
of its weight the antecedent has, less what weights have there that are equal on all
that can be seen.

    python scripts/prepare_data.py gap --raw_dir=DIR
    python scripts/sweep.py --experiment=claims/attention_to_antecedent \\
        --out=runs/attention_to_antecedent --workers=2
    python scripts/report.py runs/attention_to_antecedent

Quick size, 14 minutes of one core, beside what the first report measures: mixed. In
made-up sentences the one meant has 0.340 of the weight beyond chance (0.296 to 0.425),
and 0.345 more than the other person (0.301 to 0.433). In the bytes of Wikipedia, at
2.47 bits per byte, the one meant has 0.040 less than chance (0.032 to 0.044) and 0.006
less than the other (0.004 to 0.007), and a name used again 0.024 less than chance
(0.019 to 0.026): such heads look near, and give the byte before up to 0.59 of their
weight.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

from attn_research.analysis.remembered import of_members
from attn_research.analysis.statistics import Interval, level
from attn_research.config import Config, Model, Population, Train
from attn_research.config import replace as change
from attn_research.study import Expectation, Row, Study

DENSE = "dense(positions=rope)"
WORDS, BYTES = "coreference(length=60,cue=gender)", "text(data=gap,length=192)"
SEQUENCES = 32

Reader = Literal["pronoun", "name"]


class Found(NamedTuple):
    """Means over test sequences, of the head that was best in validation."""

    chance: float
    other: float


@of_members
def measured(directory: str, member: int, reader: Reader) -> Found:
    """How much more weight the antecedent has than by chance, and than the other."""
    from attn_research import load
    from attn_research.analysis import antecedents
    from attn_research.options import parse

    restored = load(directory, member)
    task, options = parse(restored.config.task)
    found = []
    for split in ("validation", "test"):
        if task == "coreference":
            asked = antecedents.persons(restored, split, SEQUENCES)
        else:
            length = int(options["length"])
            asked = antecedents.passages(split, SEQUENCES, length, reader)
        found.append(antecedents.beyond(restored, asked))
    held_2N, tested_2N = found
    return Found(*map(float, tested_2N[:, held_2N[0].argmax()]))


def beyond(
    rows: Sequence[Row], task: str, what: str, reader: Reader = "pronoun"
) -> Interval:
    """The weight of the antecedent beyond `chance` or the `other` person, over seeds.

    Chance is taken from both.
    """

    def measure(row: Row) -> float:
        found = measured(row["directory"], row["member"], reader)
        return found[Found._fields.index(what)]

    return level([row for row in rows if row["task"] == task], DENSE, measure)


QUICK = Study(
    name="attention_to_antecedent",
    question="Does attention point from a pronoun, or a name used again, to its "
    "antecedent?",
    claim="Attention weights of a trained language model point from a pronoun or a "
    "reused name to its antecedent more than chance.",
    source="Vaswani et al., 2017, arXiv:1706.03762; Clark et al., 2019, "
    "arXiv:1906.04341",
    base=Config(
        task=WORDS,
        model=Model(width=64, mlp="gelu", mlp_ratio=2.0),
        train=Train(
            steps=3000,
            batch=16,
            eval_every=1000,
            eval_batches=8,
            test_batches=16,
            decode=0,
        ),
    ),
    axes={"task": (BYTES, WORDS), "model.pattern": (DENSE,)},
    population=Population(seed=(0, 1, 2), lr=(3e-3,)),
    expectations=(
        Expectation(
            "In made-up sentences the one meant has more weight than by chance",
            lambda rows: beyond(rows, "coreference", "chance"),
            low=0.05,
            unit="of the weight",
        ),
        Expectation(
            "and more than the other person",
            lambda rows: beyond(rows, "coreference", "other"),
            low=0.05,
            unit="of the weight",
        ),
        Expectation(
            "In passages of Wikipedia the one whom a pronoun means has more weight "
            "than by chance",
            lambda rows: beyond(rows, "text", "chance"),
            low=0.0,
            unit="of the weight",
        ),
        Expectation(
            "and, chance left out, more than the other person",
            lambda rows: beyond(rows, "text", "other"),
            low=0.0,
            unit="of the weight",
        ),
        Expectation(
            "A name used again gives more weight to its earlier use than by chance",
            lambda rows: beyond(rows, "text", "chance", "name"),
            low=0.0,
            unit="of the weight",
        ),
    ),
    confounds=(
        "The head is chosen on validation sequences and measured on test sequences.",
        "Chance has as many tokens as the antecedent has, wherever it stands.",
        "The other person stands in the same sequence.",
    ),
)
FULL = replace(
    QUICK,
    base=change(
        QUICK.base,
        {
            "model.width": 256,
            "model.layers": 6,
            "train.steps": 20_000,
            "train.batch": 64,
            "train.eval_every": 1000,
        },
    ),
    population=Population(seed=(0, 1, 2, 3, 4), lr=(3e-4, 1e-3)),
)
STUDIES = {"quick": QUICK, "full": FULL}
