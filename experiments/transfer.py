"""What does pretraining on other data gain over training from scratch at equal steps?

A small byte-level language model learns a text of which little is there: drawn anew,
and from the trunk of one that was pretrained on much of something else. First the
pretraining, on the standard library's source (or `--set task.path=FILE`); then, for the
same steps, the text in FILE from scratch and from what was pretrained:

    python scripts/sweep.py --experiment=transfer --size=pretraining \
        --out=runs/pretraining
    python scripts/sweep.py --experiment=transfer --out=runs/transfer \
        --set task.path=FILE --set init.path=none,$(echo runs/pretraining/cells/*)
    python scripts/report.py runs/transfer

`--set init.rate=1,0.5` lets lower layers learn slower. A task of another kind is
reached by `--set task=...`, where an encoder may start from a language model:
`--set task="classification(data=movie_reviews)"`, and then with
`--set init.trunk=all,frozen`, the probe of what was pretrained beside one of a random
trunk.
"""

from collections.abc import Sequence
from dataclasses import replace

from attn_research.analysis.statistics import at_best_rate, bootstrap, headline
from attn_research.config import Config, Model, Population, Train
from attn_research.config import replace as change
from attn_research.study import Expectation, Row, Study


def gain(rows: Sequence[Row]) -> float:
    """What a pretrained start gains of the headline over drawing everything.

    On the test split, as a mean over seeds; validation chooses the learning rate, and
    among several starts.
    """
    cells: dict[str, list[Row]] = {}
    for row in rows:
        cells.setdefault(row["cell"], []).append(row)
    scratch, pretrained = [], []
    for members in cells.values():
        best, start = at_best_rate(members), members[0]["init.path"]
        sign = 1.0 if best[0]["goal"] == "max" else -1.0
        chosen, tested = (
            sign * bootstrap([headline(row, split) for row in best]).mean
            for split in ("validation", "test")
        )
        (pretrained if start else scratch).append((chosen, tested))
    return max(pretrained)[1] - max(scratch)[1]


QUICK = Study(
    name="transfer",
    question="What does pretraining gain over training from scratch at equal steps?",
    claim="Where data is little, a pretrained trunk gains whatever it was trained on.",
    base=Config(
        task="text(length=256)",
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
            "From a pretrained trunk the headline metric is better than from scratch",
            gain,
            low=0.0,
        ),
    ),
)
FULL = replace(
    QUICK,
    base=change(
        QUICK.base,
        {
            "task.length": 1024,
            "model.width": 256,
            "model.layers": 6,
            "train.steps": 5000,
            "train.batch": 32,
            "train.distinct_batches": 500,
            "train.eval_every": 250,
        },
    ),
    population=Population(seed=(0, 1, 2), lr=(3e-4, 1e-3, 3e-3)),
)
ALL = {"train.steps": 2000, "train.distinct_batches": 0, "train.eval_every": 500}
PRETRAINING = replace(
    QUICK,
    base=change(QUICK.base, ALL),
    population=Population(seed=(0,), lr=(3e-3, 1e-2)),
)
LONG = {"train.steps": 20_000, "train.distinct_batches": 0, "train.eval_every": 1000}
STUDIES = {
    "quick": QUICK,
    "full": FULL,
    "pretraining": PRETRAINING,
    "full_pretraining": replace(FULL, base=change(FULL.base, LONG)),
}
