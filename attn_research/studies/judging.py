"""What was found: gates, expectations beside the rows, and the verdict over them.

A gate fails: the study tests nothing, and its verdict is `not tested`. Otherwise the
expectations that decide are judged part by part. A part is a conjunction: one that does
not hold refutes it. A "no" counts only if it holds for all the expectations tested at
once (Holm, 1979): of m, the surest at a level of 1 - 0.05 / m, the next of m - 1.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from attn_research.studies.confidence import LEVEL, confident
from attn_research.studies.doubts import noting
from attn_research.studies.study import Expectation, Gate, Interval, Row, Study

# What a measure raises while the rows that it needs are missing.
WANTING = (ValueError, KeyError, ZeroDivisionError, IndexError)
NONE = "no verdict"
VERDICTS = (
    *("supported", "refuted", "mixed", "undecided", "not tested", "error"),
    NONE,
)


class Finding(NamedTuple):
    """An expectation or a gate, the value measured, and whether it holds.

    `holds` is None if that is open. `interval` is None if the measure is a plain
    number. `error` is what the measure raised, empty if it gave a number. `alone`: it
    fails, but not once all the expectations of the study are tested together.
    `doubts`: the best rate of a mixer is at an end of those tried, or it was still
    learning; in a study of a published claim `holds` is then None.
    """

    expectation: Expectation | Gate
    value: float
    holds: bool | None
    interval: Interval | None = None
    error: str = ""
    alone: bool = False
    doubts: tuple[str, ...] = ()


class Judgement(NamedTuple):
    """The verdict on a study, what it rests on, and the verdict on each part."""

    verdict: str
    findings: list[Finding] = []
    gates: list[Finding] = []
    parts: dict[str, str] = {}


def judge(study: Study | None, rows: Sequence[Row], missing: int = 0) -> Judgement:
    """What the rows say of a study, while cells are `missing`; None has no verdict."""
    if study is None:
        return Judgement(NONE)
    found, conditions = findings(study, rows, missing), gates(study, rows, missing)
    return Judgement(verdict(found, conditions), found, conditions, parts(found))


def gates(study: Study, rows: Sequence[Row], missing: int = 0) -> list[Finding]:
    """Each gate of a study, measured on the collected rows; open while cells miss."""
    return [_find(gate, rows, missing, False) for gate in study.gates]


def findings(study: Study, rows: Sequence[Row], missing: int = 0) -> list[Finding]:
    """Each expectation of a study, measured on the collected rows.

    All are undecided while cells are `missing`: the best member may still change.
    """
    strict = bool(study.source)
    found = [_find(one, rows, missing, strict) for one in study.expectations]
    deciding = [n for n, one in enumerate(study.expectations) if one.decides]
    open_ = [n for n in deciding if found[n].holds is False and found[n].interval]
    tested = len(deciding)
    while open_:
        with confident(1 - (1 - LEVEL) / tested):
            sure = [n for n in open_ if _fails(study.expectations[n], rows)]
        if not sure:
            break
        open_.remove(sure[0])
        tested -= 1
    for n in open_:
        found[n] = found[n]._replace(holds=None, alone=True)
    return found


def _fails(expectation: Expectation, rows: Sequence[Row]) -> bool:
    return _find(expectation, rows, 0, False).holds is False


def _find(
    expectation: Expectation | Gate, rows: Sequence[Row], missing: int, strict: bool
) -> Finding:
    """The finding; a `strict` one is open if there are doubts."""
    try:
        with noting() as noted:
            measured = expectation.measure(rows)
    except Exception as error:  # a stranger's measure may raise anything
        if (missing or not rows) and isinstance(error, WANTING):
            return Finding(expectation, math.nan, None)
        why = f"{type(error).__name__}: {error}"
        return Finding(expectation, math.nan, None, error=why)
    if isinstance(measured, Interval):
        whole, interval = measured, measured
    else:
        value = float(measured)
        whole, interval = Interval(value, value, value), None
    doubts = tuple(noted)
    unknown = missing or (strict and doubts)
    holds = None if unknown else _holds(expectation, whole)
    return Finding(expectation, whole.mean, holds, interval, doubts=doubts)


def _holds(expectation: Expectation | Gate, whole: Interval) -> bool | None:
    """Whether an interval is inside the bounds; None if it crosses one or is NaN."""
    if expectation.low <= whole.low <= whole.high <= expectation.high:
        return True
    outside = whole.high < expectation.low or whole.low > expectation.high
    return False if outside else None


def verdict(findings: Sequence[Finding], gates: Sequence[Finding] = ()) -> str:
    """One word for a study; the first of these that applies.

    error          a measure raised
    no verdict     nothing that decides was expected
    not tested     a gate does not hold
    undecided      a gate is open
    mixed          a part is supported and another refuted, whatever else is open
    undecided      a part is open
    supported      every part is supported
    refuted        every part is refuted
    """
    deciding = [found for found in findings if _decides(found)]
    if any(found.error for found in (*gates, *findings)):
        return "error"
    if not deciding:
        return NONE
    if any(gate.holds is False for gate in gates):
        return "not tested"
    words = set(parts(deciding).values())
    if any(gate.holds is None for gate in gates):
        return "undecided"
    if {"supported", "refuted"} <= words:
        return "mixed"
    return "undecided" if len(words) > 1 else words.pop()


def parts(findings: Sequence[Finding]) -> dict[str, str]:
    """Part -> supported (all of it holds), refuted (one does not), or undecided.

    An expectation without a part is one of its own, named by its claim.
    """
    holding: dict[str, list[bool | None]] = {}
    for found in filter(_decides, findings):
        assert isinstance(found.expectation, Expectation)
        part, claim = found.expectation.part, found.expectation.claim
        again = f"{claim} ({len(holding) + 1})"
        name = part or (again if claim in holding else claim)
        holding.setdefault(name, []).append(found.holds)
    return {
        name: "refuted"
        if False in holds
        else "undecided"
        if None in holds
        else "supported"
        for name, holds in holding.items()
    }


def _decides(found: Finding) -> bool:
    return isinstance(found.expectation, Expectation) and found.expectation.decides
