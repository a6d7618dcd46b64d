"""Studies: their cells, variants, and verdicts on their expectations."""

import dataclasses

import pytest

from attn_research.config import Config, Population, Train
from attn_research.options import BadInput
from attn_research.studies.study import (
    Study,
    cells,
    variant,
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


def test_what_a_study_says_of_its_claim_changes_no_cell():
    described = dataclasses.replace(
        STUDY, source="Nobody, 1999", confounds=("Parameters.",), figure="by_gap"
    )
    assert [cell.id for cell in cells(described)] == [cell.id for cell in cells(STUDY)]
