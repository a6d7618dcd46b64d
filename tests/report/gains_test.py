"""What a start from another run gained, of rows whose gain is planted."""

import pytest

from attn_research.report.gains import transfer_gains
from attn_research.report.plans import prepare
from attn_research.report.series import titled

CELL = "/runs/before/cells/0123456789abcdef"


def row(seed, value, path=None, lr=1e-3, pattern="conv", **more):
    return {
        "cell": f"{pattern}{path}{more}", "seed": seed, "lr": lr, "weight_decay": 0.1,
        "status": "done", "step": 200, "task": "text", "model.pattern": pattern,
        "init.path": path, "init.trunk": "all", "metric": "loss", "goal": "min",
        **more,
        **{f"{s}.{more.get('metric', 'loss')}": value for s in ("test", "validation")},
    }  # fmt: skip


def test_a_gain_is_paired_by_seeds_at_the_best_rates():
    rows = [
        *(row(seed, 3.0 + seed) for seed in (0, 1, 2)),
        *(row(seed, 9.0, lr=1e-2) for seed in (0, 1, 2)),
        *(row(seed, 2.0 + seed, CELL, lr=1e-2) for seed in (0, 1, 2)),
        *(row(seed, 1.5 + seed, "/runs/other") for seed in (0, 1)),
        row(0, 1.0, pattern="dense"),
    ]
    cell, other = transfer_gains(prepare(rows))
    assert cell["mixer"] == "conv" and cell["start"] == "from before/012345"
    assert (cell["loss"], cell["from scratch"]) == (3.0, 4.0)
    assert cell["gained"] == 1.0 and cell["95 %"] == "1 to 1"
    assert (cell["steps"], cell["seeds"]) == (200, 3)
    assert other["start"] == "from other" and other["gained"] == 1.5
    assert other["seeds"] == 2


def test_a_frozen_start_is_compared_with_all_that_learns_from_scratch():
    rows = [
        row(0, 3.0),
        row(0, 5.0, **{"init.trunk": "frozen"}),
        row(0, 2.0, CELL, **{"init.trunk": "frozen"}),
    ]
    (line,) = transfer_gains(prepare(rows))
    assert line["start"] == "from before/012345, trunk frozen"
    assert line["gained"] == 1.0


def test_tasks_of_different_metrics_share_their_columns():
    other = {"task": "classes", "metric": "accuracy", "goal": "max"}
    rows = [row(0, 3.0), row(0, 2.0, CELL), row(0, 0.5, **other)]
    rows.append(row(0, 0.7, CELL, **other))
    lines = transfer_gains(prepare(rows))
    assert [line["metric"] for line in lines] == ["loss", "accuracy"]
    assert [line["quality"] for line in lines] == [2.0, 0.7]
    assert [round(line["gained"], 6) for line in lines] == [1.0, 0.2]


@pytest.mark.parametrize("rows", [[], [row(0, 1.0)], [row(0, 1.0, CELL)]])
def test_nothing_is_gained_over_nothing(rows):
    assert transfer_gains(prepare(rows)) == []


def test_two_starts_of_one_name_are_labelled_by_their_paths():
    rows = prepare([row(0, 1.0), row(0, 1.0, "/a/run"), row(0, 1.0, "/b/run")])
    told = [titled(one, ["init.path"]) for one in rows]
    assert told == ["from scratch", "from /a/run", "from /b/run"]
