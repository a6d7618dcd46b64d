"""Doubts: best rates at an end, members that still learn, and what they do."""

import pytest

from attn_research.analysis import statistics as stats
from attn_research.studies import plateau
from attn_research.studies.doubts import noting
from attn_research.studies.judging import judge
from attn_research.studies.study import Expectation, Study


def row(lr, seed=0, value=0.5, gained=0.0, mixer="lstm"):
    return {
        **{"lr": lr, "seed": seed, "weight_decay": 0.1, "status": "done"},
        **{"metric": "accuracy", "goal": "max", "chance": 0.1, "mixer": mixer},
        **{"validation.accuracy": value, "test.accuracy": value, "plateau": gained},
    }


INSIDE = [row(1e-3, value=0.4), row(3e-3), row(1e-2, value=0.4)]
EDGE = [row(1e-3, value=0.4), row(3e-3)]
CEILING = [row(1e-3, value=0.4), row(3e-3, value=0.99)]
LEARNING = [*INSIDE[::2], row(3e-3, gained=0.1)]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (INSIDE, []),
        (EDGE, ["edge: the best rate of lstm, 0.003, is at an end"]),
        (EDGE[1:], ["edge: one rate was tried of lstm"]),
        (CEILING, []),
        (LEARNING, ["still learning: lstm gained 0.1 at the end"]),
        ([], []),
        (
            [*CEILING, row(3e-3, 1, 0.99), row(1e-3, 1, 0.9) | {"status": "diverged"}],
            [],
        ),
        (
            [row(3e-3, 0, 0.99), row(3e-3, 1) | {"status": "diverged"}],
            ["diverged: 1 of 2 runs of lstm"],
        ),
    ],
)
def test_the_best_rate_is_doubted_for_a_reason(rows, words):
    with noting() as noted:
        stats.at_best_rate(rows)
    assert list(noted) == words
    stats.at_best_rate(rows)
    assert list(noted) == words, "nobody asks any more"


def test_the_ranking_of_mixers_notes_only_the_one_that_is_measured():
    worse = [row(lr, value=0.2, mixer="gru") for lr in (1e-3, 3e-3)]
    with noting() as noted:
        stats.reached([*INSIDE, *worse])
    assert not noted


@pytest.mark.parametrize(
    ("source", "word"), [("", "supported"), ("A., 1999", "undecided")]
)
def test_a_published_claim_is_open_while_there_are_doubts(source, word):
    rows = [one | {"seed": seed} for one in EDGE for seed in (0, 1)]
    stated = Expectation("So", lambda rows: stats.level(rows, "lstm"), low=0.4)
    judged = judge(Study("s", "?", ".", expectations=(stated,), source=source), rows)
    assert judged.verdict == word
    assert "is at an end" in judged.findings[0].doubts[0]


def records(*values, metric="accuracy"):
    return [
        {"member": 0, "step": 25 * (n + 1), metric: value}
        for n, value in enumerate(values)
    ]


def test_the_last_quarter_is_counted_from_each_members_own_end():
    log = [*records(0.1, 0.2, 0.5, 0.9), {"member": 1, "step": 50, "accuracy": 0.3}]
    kept = plateau.ends(log, {0: 100, 1: 50})
    assert [(one["member"], one["step"]) for one in kept] == [
        (0, 75),
        (0, 100),
        (1, 50),
    ]


@pytest.mark.parametrize(
    ("values", "goal", "chance", "gained"),
    [
        ((0.5, 0.95), "max", 0.1, 0.5),
        ((0.5, 0.5), "max", 0.1, 0.0),
        ((0.5, 0.41), "max", 0.1, -0.1),
        ((2.0, 1.5), "min", None, 0.25),
        ((20.0, 30.0), "max", None, 0.5),
        ((0.5,), "max", 0.1, None),
        ((0.0, 1.0), "min", None, None),
    ],
)
def test_the_gain_is_a_share_of_the_room(values, goal, chance, gained):
    got = plateau.gain(records(*values), "accuracy", goal, chance)
    assert got == (None if gained is None else pytest.approx(gained))


@pytest.mark.parametrize(
    ("value", "goal", "chance", "at"),
    [
        (1.0, "max", 0.1, True),
        (0.983, "max", 0.1, True),
        (0.97, "max", 0.1, False),
        (0.0, "min", None, False),
        (1.0, "max", None, False),
    ],
)
def test_a_ceiling_is_near_certainty(value, goal, chance, at):
    assert plateau.solved(value, goal, chance) is at
