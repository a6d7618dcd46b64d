"""Findings and verdicts: bounds, parts, gates, several tests at once, and errors."""

import math

import numpy as np
import pytest

from attn_research.analysis.statistics import mean_interval
from attn_research.studies.judging import findings, judge, verdict
from attn_research.studies.study import Expectation, Gate, Interval, Study


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
        ([HOLDS, FAILS, UNKNOWN], "mixed"),
        ([SURELY, NEVER, PERHAPS], "mixed"),
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


@pytest.mark.parametrize("mistake", [AttributeError, KeyError])
def test_a_measure_that_raises_is_an_error_and_not_an_open_question(mistake):
    def broken(rows):
        raise mistake("acuracy")

    study = Study("s", "?", ".", expectations=(Expectation("So", broken),))
    judged = judge(study, [{"mixer": "dense"}])
    assert judged.verdict == "error"
    assert judged.findings[0].error.startswith(mistake.__name__)
    # What it needs may still be trained.
    waiting = judge(study, [{"mixer": "dense"}], missing=1)
    expected = "error" if mistake is AttributeError else "undecided"
    assert waiting.verdict == expected


def said(claim, *value, part="", decides=True):
    """An expectation of at least 0 with the interval that is measured."""
    return Expectation(
        claim, lambda rows: Interval(*value), low=0.0, part=part, decides=decides
    )


YES, NO, OPEN = (2.0, 1.0, 3.0), (-2.0, -3.0, -1.0), (0.0, -1.0, 1.0)


@pytest.mark.parametrize(
    ("expected", "word", "words"),
    [
        ([("a", YES), ("a", NO)], "refuted", {"a": "refuted"}),
        ([("a", YES), ("a", OPEN)], "undecided", {"a": "undecided"}),
        ([("a", NO), ("a", OPEN)], "refuted", {"a": "refuted"}),
        ([("a", YES), ("b", NO)], "mixed", {"a": "supported", "b": "refuted"}),
        ([("a", NO), ("b", OPEN)], "undecided", {"a": "refuted", "b": "undecided"}),
        (
            [("a", YES), ("a", NO), ("", YES)],
            "mixed",
            {"a": "refuted", "2": "supported"},
        ),
    ],
)
def test_a_part_is_a_conjunction(expected, word, words):
    stated = [said(str(n), *v, part=p) for n, (p, v) in enumerate(expected)]
    judged = judge(Study("s", "?", ".", expectations=tuple(stated)), [])
    assert (judged.verdict, judged.parts) == (word, words)


def test_what_does_not_decide_changes_no_verdict():
    stated = (said("effect", *YES), said("aside", *NO, decides=False))
    judged = judge(Study("s", "?", ".", expectations=stated), [])
    assert judged.verdict == "supported"
    assert [found.holds for found in judged.findings] == [True, False]
    alone = judge(Study("s", "?", ".", expectations=stated[1:]), [])
    assert alone.verdict == "no verdict"


@pytest.mark.parametrize(
    ("value", "word"),
    [(0.95, "supported"), (0.2, "not tested"), (math.nan, "undecided")],
)
def test_a_gate_comes_before_the_verdict(value, word):
    gate = Gate("The reference solves the task", lambda rows: value, low=0.9)
    study = Study("s", "?", ".", expectations=(said("so", *YES),), gates=(gate,))
    judged = judge(study, [])
    assert judged.verdict == word
    assert judged.gates[0].value == value or math.isnan(value)
    assert judge(study, [], missing=1).verdict == "undecided"


def of_samples(*samples):
    """Expectations of at least 0 that measure the mean of their sample."""
    return tuple(
        Expectation(str(n), lambda rows, s=sample: mean_interval(s), low=0.0)
        for n, sample in enumerate(samples)
    )


def test_a_no_counts_if_it_holds_for_all_that_is_tested():
    """Of five values, t is 2.78 at 95 % and 4.60 at 99 %."""
    weak = [-3.5 * 5**-0.5 + x for x in (-1.2649, -0.6325, 0, 0.6325, 1.2649)]
    high = [100.0, 101.0, 102.0, 103.0, 104.0]
    assert mean_interval(weak).high < 0, "it fails alone"
    alone = judge(Study("s", "?", ".", expectations=of_samples(weak)), [])
    assert alone.verdict == "refuted"
    study = Study("s", "?", ".", expectations=of_samples(weak, *[high] * 4))
    judged = judge(study, [])
    assert judged.verdict == "undecided"
    assert judged.findings[0].alone and judged.findings[0].holds is None
    sure = [x - 10 for x in weak]
    both = judge(Study("s", "?", ".", expectations=of_samples(weak, sure)), [])
    assert [f.holds for f in both.findings] == [False, False], "the surest goes first"


def test_of_many_true_expectations_few_are_refuted_by_chance():
    """Ten true ones at 95 % each: one of them fails in 20 of 100 studies (one side)."""
    draw = np.random.default_rng(0)
    alone, together = 0, 0
    for _ in range(300):
        samples = draw.normal(0.0, 1.0, (10, 6))
        stated = of_samples(*samples)
        alone += any(one.measure([]).high < 0 for one in stated)
        found = findings(Study("s", "?", ".", expectations=stated), [])
        together += any(one.holds is False for one in found)
    assert alone / 300 > 0.1
    assert together / 300 <= 0.05
