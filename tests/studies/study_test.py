"""Studies: their cells, variants, and verdicts on their expectations."""

import dataclasses
import math

import pytest

from attn_research.config import Config, Population, Train
from attn_research.options import BadInput
from attn_research.studies.study import (
    Expectation,
    Interval,
    Study,
    cells,
    findings,
    variant,
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
    other = cells(variant(STUDY, population=Population(seed=(0, 2))))
    assert not {cell.id for cell in first} & {cell.id for cell in other}


def test_a_study_without_axes_is_one_cell():
    assert len(cells(Study("one", "?", "."))) == 1


def test_a_variant_edits_the_base_and_replaces_other_fields():
    wider = variant(STUDY, base={"model.width": 8, "task.length": 16}, claim="Other.")
    assert (wider.base.model.width, wider.base.train.steps) == (8, 7)
    assert wider.base.task == "recall(length=16)"
    assert (wider.claim, wider.axes) == ("Other.", STUDY.axes)
    assert variant(STUDY) == STUDY
    axes = variant(STUDY, axes={"model.width": (4, 8)})
    assert axes.base == STUDY.base and len(cells(axes)) == 2
    with pytest.raises(BadInput, match=r"model\.widht"):
        variant(STUDY, base={"model.widht": 4})


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
        ([], "no verdict"),
    ],
)
def test_verdicts(parts, word):
    assert verdict(findings(expecting(*parts), [])) == word


@pytest.mark.parametrize(
    ("value", "holds"), [(0.5, True), (2.0, True), (0.49, False), (2.01, False)]
)
def test_the_ends_of_an_interval_belong_to_it(value, holds):
    (finding,) = findings(expecting((value, 0.5, 2.0)), [])
    assert finding.holds is holds and finding.value == value


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
    (finding,) = findings(expecting((measured, 0.5, 2.0)), [])
    assert finding.holds is holds
    assert (finding.value, finding.interval) == (1.0, measured)


def test_nothing_is_decided_while_cells_are_missing():
    """The best of the cells so far may not be the best of all."""
    for parts in ([HOLDS], [NEVER], [SURELY, FAILS]):
        found = findings(expecting(*parts), [], missing=1)
        assert all(one.holds is None for one in found)
        assert verdict(found) == "undecided"
        assert all(math.isfinite(one.value) for one in found), "the value so far"


def test_what_a_study_says_of_its_claim_changes_no_cell():
    described = dataclasses.replace(
        STUDY, source="Nobody, 1999", confounds=("Parameters.",), figure="by_gap"
    )
    assert [cell.id for cell in cells(described)] == [cell.id for cell in cells(STUDY)]


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
    (finding,) = findings(
        Study("s", "?", ".", expectations=(Expectation("So", measure),)), []
    )
    assert finding.holds is None and math.isnan(finding.value)


def test_a_mistake_in_a_measure_is_not_taken_for_missing_rows():
    def broken(rows):
        raise AttributeError("a typing error")

    with pytest.raises(AttributeError):
        findings(Study("s", "?", ".", expectations=(Expectation("So", broken),)), [])
