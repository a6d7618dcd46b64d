"""A page says whether the expectations of a study changed since it was begun."""

import dataclasses

import pytest

from attn_research.config import Population
from attn_research.report.formatting import changes
from attn_research.studies.study import (
    Expectation,
    Study,
    budget,
    conditions,
    predictions,
    variant,
)

FIRST = Expectation("Attention is ahead", lambda rows: 1.0, low=0.0, unit="accuracy")
SECOND = Expectation("It does the same in text", lambda rows: 1.0, high=0.5)
STUDY = Study("s", "?", ".", expectations=(FIRST, SECOND))


def reworded(expectation: Expectation, **fields) -> Expectation:
    return dataclasses.replace(expectation, claim="In text, attention leads", **fields)


def recorded(study):
    """What study.json says of it."""
    said = {"expected": predictions(study), "gates": conditions(study)}
    return {**said, **budget(study), "registered": budget(study)}


def test_a_budget_that_grew_is_told():
    now = variant(STUDY, base={"train.steps": 2400, "model.width": 8})
    grown = {**recorded(now), "registered": budget(STUDY)}
    (sentence,) = changes(grown, now)
    assert "exploratory until fresh seeds confirm it: model.width was 64 and is 8" in (
        sentence
    )
    assert "train.steps was 1000 and is 2400" in sentence
    seeds = dataclasses.replace(STUDY, population=Population(seed=(0, 1, 2)))
    (sentence,) = changes({**recorded(seeds), "registered": budget(STUDY)}, seeds)
    assert "population.seed was 0 and is 0, 1, 2" in sentence
    assert changes({**recorded(now), "registered": budget(now)}, now) == []


@pytest.mark.parametrize("now", [SECOND, reworded(SECOND)])
def test_other_words_for_the_same_bounds_are_no_change(now):
    after = variant(STUDY, expectations=(FIRST, now))
    assert changes(recorded(STUDY), after) == []


@pytest.mark.parametrize(
    ("now", "count"),
    [
        ((FIRST, reworded(SECOND, high=0.6)), 2),
        ((FIRST, reworded(SECOND, unit="accuracy")), 2),
        ((reworded(SECOND), reworded(FIRST)), 4),
        ((FIRST,), 1),
        ((FIRST, SECOND, reworded(FIRST)), 1),
    ],
)
def test_other_bounds_units_order_or_number_are_changes(now, count):
    after = variant(STUDY, expectations=now)
    sentences = changes(recorded(STUDY), after)
    assert len(sentences) == count
    assert all(sentence.startswith("Expected ") for sentence in sentences)
