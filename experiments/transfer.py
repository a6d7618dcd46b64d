"""What does pretraining on other data gain over training from scratch at equal steps?

A small byte-level language model learns a scarce text, plays of Shakespeare: from
scratch, and from the trunk of a model that was pretrained on an ample other text, a
novel. First the pretraining; then, for the same steps, the plays from scratch and from
the pretrained trunk:

    python scripts/prepare_data.py moby_dick tinyshakespeare --raw_dir=DIR
    python scripts/sweep.py --experiment=transfer --size=pretraining \\
        --out=runs/pretraining
    python scripts/sweep.py --experiment=transfer --out=runs/transfer \\
        --set init.path=none,$(echo runs/pretraining/cells/*)
    python scripts/report.py runs/transfer

Encoders learn 400 sentences, objective or subjective, after masked language modelling
of whole film reviews:

    python scripts/prepare_data.py movie_reviews subjectivity --raw_dir=DIR
    python scripts/sweep.py --experiment=transfer --size=reviews --out=runs/reviews
    python scripts/sweep.py --experiment=transfer --size=sentences \\
        --out=runs/sentences --set init.path=none,$(echo runs/reviews/cells/*)
    python scripts/report.py runs/sentences

Quick size: pretraining 3 minutes of one core, each start 1.5. On the test split, mean
of three seeds, the gain at equal seeds:

                            scratch  pretrained  gain
    plays, bits per byte    2.915    2.652       0.263 (0.240 to 0.284)
    sentences, accuracy     0.784    0.794       0.010 (-0.001 to 0.016)

What was expected holds for the plays and is undecided for the sentences: 400 sentences
and 200 steps suffice for most of what they teach.

`--set init.rate=1,0.5` trains lower layers at lower rates, `--set
init.trunk=all,frozen` puts a probe of the pretrained trunk beside one of a random
trunk, and `--set "task=text(path=FILE)"` reads any text. To pretrain on the task's own
texts, `scripts/train.py` has a flag: `--pretrain=masked`.
"""

from collections.abc import Sequence

from attn_research.analysis.statistics import (
    Interval,
    at_best_rate,
    by_seed,
    headline,
    mean_interval,
    paired,
)
from attn_research.config import Config, Model, Population, Train
from attn_research.studies.study import Expectation, Row, Study, variant


def gain(rows: Sequence[Row]) -> Interval:
    """The gain in the headline metric from a pretrained start over none.

    It is measured on the test split at equal seeds; validation chooses the learning
    rate and, if there are several, the start.
    """
    cells: dict[str, list[Row]] = {}
    for row in rows:
        cells.setdefault(row["cell"], []).append(row)
    sign = 1.0 if rows[0]["goal"] == "max" else -1.0

    def best(pretrained: bool) -> dict[int, float]:
        starts = [
            at_best_rate(members)
            for members in cells.values()
            if bool(members[0]["init.path"]) == pretrained
        ]
        chosen = max(starts, key=validated)
        return by_seed(chosen, lambda row: sign * headline(row))

    def validated(start: Sequence[Row]) -> float:
        return sign * mean_interval([headline(row, "validation") for row in start]).mean

    return paired(best(True), best(False))


QUICK = Study(
    name="transfer",
    question="What does pretraining gain over training from scratch at equal steps?",
    claim="If data is scarce, a pretrained trunk helps, whatever it was trained on.",
    base=Config(
        task="text(data=tinyshakespeare,length=256)",
        model=Model(
            pattern="conv,dense(positions=rope)",
            width=64,
            mlp="swiglu",
            mlp_ratio=2.0,
            norm="rms",
        ),
        train=Train(
            steps=200,
            batch=8,
            distinct_batches=25,
            eval_every=50,
            eval_batches=8,
            test_batches=32,
        ),
    ),
    axes={"init.path": (None,)},
    population=Population(seed=(0, 1, 2), lr=(1e-3, 3e-3, 1e-2)),
    expectations=(
        Expectation(
            "The headline metric is better from a pretrained trunk than from scratch",
            gain,
            low=0.0,
            why="Any gain counts: the steps are the same.",
        ),
    ),
)
FULL = variant(
    QUICK,
    base={
        "task.length": 1024,
        "model.width": 256,
        "model.layers": 6,
        "train.steps": 5000,
        "train.batch": 32,
        "train.distinct_batches": 500,
        "train.eval_every": 250,
    },
    population=Population(seed=(0, 1, 2), lr=(3e-4, 1e-3, 3e-3)),
)
ALL = {"train.steps": 2000, "train.distinct_batches": 0, "train.eval_every": 500}
LONG = {"train.steps": 20_000, "train.distinct_batches": 0, "train.eval_every": 1000}
PRETRAINING = variant(
    QUICK,
    base={**ALL, "task.data": "moby_dick"},
    population=Population(seed=(0,), lr=(3e-3, 1e-2)),
)
REVIEWS = variant(
    PRETRAINING,
    base={"task": "masked_text(data=movie_reviews,length=256)"},
)
SENTENCES = variant(
    QUICK,
    base={
        "task": "classification(data=subjectivity,length=160)",
        "train.batch": 16,
        "train.eval_batches": 63,
    },
)
STUDIES = {
    "quick": QUICK,
    "full": FULL,
    "pretraining": PRETRAINING,
    "full_pretraining": variant(FULL, base={**LONG, "task.data": "moby_dick"}),
    "reviews": REVIEWS,
    "sentences": SENTENCES,
}
