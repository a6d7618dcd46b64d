"""Studies: their cells, what changes them, and verdicts from what was expected."""

import dataclasses
import math

import pytest

from attn_research.config import Config, Population, Train
from attn_research.options import BadInput
from attn_research.study import (
    Expectation,
    Interval,
    Study,
    cells,
    change,
    findings,
    verdict,
)

STUDY = Study(
    "a_study",
    "A question?",
    "A claim.",
    base=Config(train=Train(steps=7)),
    axes={"task.length": (32, 64), "model.pattern": ("dense", "conv,dense", "lstm")},
    population=Population(seed=(0, 1)),
)


def test_cells_are_the_product_of_the_axes_in_order():
    found = cells(STUDY)
    assert [(cell.config.task, cell.config.model.pattern) for cell in found] == [
        (f"recall(length={length})", pattern)
        for length in (32, 64)
        for pattern in ("dense", "conv,dense", "lstm")
    ]
    assert all(cell.config.train.steps == 7 for cell in found)
    assert {cell.population for cell in found} == {Population(seed=(0, 1))}


def test_a_cell_is_named_by_its_content():
    first, again = cells(STUDY), cells(STUDY)
    assert [cell.id for cell in first] == [cell.id for cell in again]
    assert len({cell.id for cell in first}) == 6
    other = cells(change(STUDY, {}, {"seed": (0, 2)}))
    assert not {cell.id for cell in first} & {cell.id for cell in other}


def test_a_study_without_axes_is_one_cell():
    assert len(cells(Study("one", "?", "."))) == 1


def test_changes_replace_and_add_axes_and_lists():
    changed = change(STUDY, {"task.length": [8], "model.width": [4, 8]}, {"lr": "1,2"})
    assert changed.axes["task.length"] == [8]
    assert list(changed.axes) == ["task.length", "model.pattern", "model.width"]
    assert changed.population == Population(seed=(0, 1), lr=(1.0, 2.0))
    assert len(cells(changed)) == 6
    with pytest.raises(BadInput, match=r"model\.widht"):
        cells(change(STUDY, {"model.widht": [4]}, {}))


def expecting(*parts):
    """A study that expects each (measured, low, high)."""
    expectations = tuple(
        Expectation("So it is", lambda rows, v=value: v, low, high)
        for value, low, high in parts
    )
    return Study("s", "?", ".", expectations=expectations)


HOLDS, FAILS = (1.0, 0.5, 2.0), (3.0, 0.5, 2.0)
UNKNOWN = (math.nan, 0.5, 2.0)
SURELY = (Interval(1.0, 0.5, 2.0), 0.5, 2.0)
NEVER = (Interval(3.0, 2.1, 4.0), 0.5, 2.0)
PERHAPS = (Interval(1.9, 1.7, 2.1), 0.5, 2.0)


@pytest.mark.parametrize(
    ("parts", "word"),
    [
        ([HOLDS], "supported"),
        ([HOLDS, HOLDS], "supported"),
        ([FAILS], "refuted"),
        ([FAILS, FAILS], "refuted"),
        ([HOLDS, FAILS], "mixed"),
        ([HOLDS, UNKNOWN], "undecided"),
        ([FAILS, UNKNOWN], "undecided"),
        ([SURELY, HOLDS], "supported"),
        ([NEVER, FAILS], "refuted"),
        ([SURELY, NEVER], "mixed"),
        ([SURELY, PERHAPS], "undecided"),
        ([NEVER, PERHAPS], "undecided"),
        ([], "undecided"),
    ],
)
def test_verdicts(parts, word):
    assert verdict(findings(expecting(*parts), [])) == word


@pytest.mark.parametrize(
    ("value", "holds"), [(0.5, True), (2.0, True), (0.49, False), (2.01, False)]
)
def test_the_ends_of_an_interval_belong_to_it(value, holds):
    (found,) = findings(expecting((value, 0.5, 2.0)), [])
    assert found.holds is holds and found.value == value


@pytest.mark.parametrize(
    ("low", "high", "holds"),
    [
        (0.5, 2.0, True),
        (0.4, 1.0, None),
        (1.0, 2.1, None),
        (0.0, 3.0, None),
        (0.0, 0.4, False),
        (2.1, math.inf, False),
        (math.nan, math.nan, None),
    ],
)
def test_an_interval_decides_as_a_whole(low, high, holds):
    measured = Interval(1.0, low, high)
    (found,) = findings(expecting((measured, 0.5, 2.0)), [])
    assert found.holds is holds
    assert (found.value, found.interval) == (1.0, measured)


def test_nothing_is_decided_while_cells_are_missing():
    """Whatever is best among the cells so far may not be so among all of them."""
    for parts in ([HOLDS], [NEVER], [SURELY, FAILS]):
        found = findings(expecting(*parts), [], missing=1)
        assert all(one.holds is None for one in found)
        assert verdict(found) == "undecided"
        assert all(math.isfinite(one.value) for one in found), "the value so far"


def test_what_a_study_says_of_its_claim_changes_no_cell():
    told = dataclasses.replace(
        STUDY, source="Nobody, 1999", confounds=("Parameters.",), figure="by_gap"
    )
    assert [cell.id for cell in cells(told)] == [cell.id for cell in cells(STUDY)]


@pytest.mark.parametrize(
    "measure",
    [
        lambda rows: rows[0]["x"],
        lambda rows: {}["x"],
        lambda rows: 1 / len(rows),
        lambda rows: max(rows),
    ],
)
def test_a_measure_without_its_rows_is_undecided(measure):
    (found,) = findings(
        Study("s", "?", ".", expectations=(Expectation("So", measure),)), []
    )
    assert found.holds is None and math.isnan(found.value)


def test_a_mistake_in_a_measure_is_not_taken_for_missing_rows():
    def broken(rows):
        raise AttributeError("a typing error")

    with pytest.raises(AttributeError):
        findings(Study("s", "?", ".", expectations=(Expectation("So", broken),)), [])
