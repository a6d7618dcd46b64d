"""Rates are added where the best lies at an end, and only there."""

import pytest

from attn_research.config import Config, Population, edit
from attn_research.studies import store
from attn_research.studies.study import Cell
from attn_research.studies.widening import MOST, wider
from tests.command import assert_one_sentence, command


def cell(*lr, width=64):
    config = edit(Config(), {"model.width": width})
    return Cell(config, Population(seed=(0, 1), lr=lr))


def rows(one, values, goal="max", chance=0.1):
    """A row for each seed; the value of a rate, None for one that diverged."""
    return [
        {
            **{"cell": one.id, "lr": lr, "seed": seed, "goal": goal, "chance": chance},
            **{"metric": "m", "status": "diverged" if value is None else "done"},
            "validation.m": value,
        }
        for lr, value in zip(one.population.lr, values, strict=True)
        for seed in one.population.seed
    ]


@pytest.mark.parametrize(
    ("lr", "values", "more"),
    [
        ((1e-3, 3e-3, 1e-2), (0.3, 0.5, 0.4), []),
        ((1e-3, 3e-3), (0.3, 0.5), [9e-3]),
        ((1e-3, 3e-3), (0.5, 0.3), [3.33e-4]),
        ((1e-3,), (0.5,), [3.33e-4, 3e-3]),
        ((1e-3, 3e-3), (0.3, 0.99), []),
        ((1e-3, 3e-3), (0.3, None), [3.33e-4]),
        ((1e-3, 3e-3), (None, None), []),
        (tuple(1e-3 * n for n in range(1, MOST + 1)), (0.1,) * 6 + (0.5,), []),
    ],
)
def test_a_rate_is_added_beyond_the_end_that_is_best(lr, values, more):
    one = cell(*lr)
    added = wider([one], rows(one, values))
    assert [new.population.lr for new in added] == [(rate,) for rate in more]
    assert all(new.config == one.config for new in added)
    assert all(new.population.seed == (0, 1) for new in added)


def test_less_is_better_where_the_goal_is_a_minimum():
    one = cell(1e-3, 3e-3)
    (new,) = wider([one], rows(one, (2.0, 1.0), "min", None))
    assert new.population.lr == (9e-3,)


def test_cells_of_one_config_are_one_grid_and_others_are_apart():
    first, second = cell(1e-3, 3e-3), cell(9e-3)
    both = [*rows(first, (0.3, 0.5)), *rows(second, (0.4,))]
    assert wider([first, second], both) == []
    other = cell(1e-3, 3e-3, width=32)
    (new,) = wider([first, second, other], [*both, *rows(other, (0.3, 0.5))])
    assert new.config == other.config
    assert wider([first], []) == [], "nothing was trained yet"


STUDY = """
from attn_research.config import Config, Model, Population, Train
from attn_research.studies.study import Study

STUDIES = {"quick": Study(
    name="narrow",
    question="Is the best rate inside?",
    claim="It is.",
    base=Config(
        task="recall(length=8,pairs=1,vocabulary=16)",
        model=Model(pattern="conv", layers=1, width=4),
        train=Train(batch=2, steps=4, eval_every=2, eval_batches=1, test_batches=1,
                    decode=0),
    ),
    population=Population(seed=(0,), lr=(1e-3,)),
)}
"""


def test_a_sweep_widens_its_rates_until_the_best_is_inside(tmp_path):
    (tmp_path / "narrow.py").write_text(STUDY)
    asked = [f"--experiment={tmp_path / 'narrow.py'}", f"--out={tmp_path / 'out'}"]
    ended = command("sweep", *asked, "--widen")
    assert ended.code == 0, ended.err
    assert "adds the rate 0.000333 to conv" in ended.out
    found = store.rows(tmp_path / "out")
    rates = {row["lr"] for row in found}
    assert 3 <= len(rates) <= MOST
    best = max(found, key=lambda row: row["validation.accuracy"])["lr"]
    assert min(rates) < best < max(rates) or len(rates) == MOST
    again = command("sweep", *asked, "--widen")
    assert again.code == 0 and len(store.rows(tmp_path / "out")) == len(found)
    assert_one_sentence(command("sweep", *asked[1:], "--widen"), "--widen does nothing")
    refused = command("sweep", *asked, "--confirm")
    assert_one_sentence(refused, "--confirm must have a directory of its own")


def test_a_sweep_confirms_with_fresh_seeds(tmp_path):
    (tmp_path / "narrow.py").write_text(STUDY)
    asked = [f"--experiment={tmp_path / 'narrow.py'}", f"--out={tmp_path / 'out'}"]
    for _ in range(2):
        assert command("sweep", *asked, "--confirm").code == 0
        assert [row["seed"] for row in store.rows(tmp_path / "out")] == [1000]
