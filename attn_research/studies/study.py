"""A study: a question, the cells that answer it, and the answer that is expected.

A study is data. Its cells are the product of its `axes` (dotted config fields) over a
`base` config, each trained as one population. Each `Expectation` is stated before
anything runs: a number measured from the collected rows, with an interval if it is
uncertain, and the bounds it should fall in. The verdict follows from these alone.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from attn_research.config import Config, Population, content_hash, edit

Row = Mapping[str, Any]


class Interval(NamedTuple):
    """An estimate and its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Expectation:
    """A sentence, the number that decides it, and the bounds within which it holds.

    `measure` takes the rows of every finished member (see `store.collect`) and returns
    a number or an `Interval`. An interval inside the bounds holds, one outside fails,
    one that crosses a bound is undecided; a number is an interval of one point. It
    returns NaN if the rows cannot tell. The `claim` is shown without its neighbours.
    """

    claim: str
    measure: Callable[[Sequence[Row]], float | Interval]
    low: float = -math.inf
    high: float = math.inf
    unit: str = ""


@dataclass(frozen=True)
class Cell:
    """One static config and the population it trains; named by its content."""

    config: Config
    population: Population

    @property
    def id(self) -> str:
        return content_hash(self.config, self.population)


@dataclass(frozen=True)
class Study:
    """A question put to a grid of cells; the docstring of its experiment says more.

    `source` names who makes the claim (author, year, arXiv id), each of the `confounds`
    states what is held equal, and `figure` names the figure that represents the study
    in the ledger. The first expectation measures the effect.
    """

    name: str
    question: str
    claim: str
    base: Config = Config()
    axes: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    population: Population = Population()
    expectations: tuple[Expectation, ...] = ()
    source: str = ""
    confounds: tuple[str, ...] = ()
    figure: str = ""


def cells(study: Study) -> list[Cell]:
    """Every cell of a study: the product of its axes, in order."""
    points = itertools.product(*study.axes.values())
    return [
        Cell(edit(study.base, dict(zip(study.axes, point, strict=True))),
             study.population)
        for point in points
    ]  # fmt: skip


def variant(
    study: Study, *, base: Mapping[str, Any] | None = None, **fields: Any
) -> Study:
    """A copy of the study with dotted fields of its base and other fields changed.

    `variant(QUICK, base={"model.width": 256}, axes=..., population=...)`; a field other
    than `base` takes the new value as a whole.
    """
    return dataclasses.replace(study, base=edit(study.base, base or {}), **fields)


def predictions(study: Study) -> list[dict[str, Any]]:
    """The expectations of a study as JSON: claim, bounds (None: unbounded), unit."""
    return [
        {
            "claim": expectation.claim,
            "low": expectation.low if math.isfinite(expectation.low) else None,
            "high": expectation.high if math.isfinite(expectation.high) else None,
            "unit": expectation.unit,
        }
        for expectation in study.expectations
    ]


class Finding(NamedTuple):
    """An expectation, the value measured, and whether it holds (None: undecided).

    `interval` is None if the measure is a plain number.
    """

    expectation: Expectation
    value: float
    holds: bool | None
    interval: Interval | None = None


def findings(study: Study, rows: Sequence[Row], missing: int = 0) -> list[Finding]:
    """Each expectation of a study, measured on the collected rows.

    All are undecided while cells are `missing`: the best member may still change.
    """
    measurements = []
    for expectation in study.expectations:
        try:
            measured = expectation.measure(rows)
        except (ValueError, KeyError, ZeroDivisionError, IndexError):
            measured = math.nan  # the rows it needs are still missing
        if isinstance(measured, Interval):
            whole, interval = measured, measured
        else:
            value = float(measured)
            whole, interval = Interval(value, value, value), None
        holds = None if missing else _holds(expectation, whole)
        measurements.append(Finding(expectation, whole.mean, holds, interval))
    return measurements


def _holds(expectation: Expectation, whole: Interval) -> bool | None:
    """Whether an interval is inside the bounds; None if it crosses one or is NaN."""
    if expectation.low <= whole.low <= whole.high <= expectation.high:
        return True
    outside = whole.high < expectation.low or whole.low > expectation.high
    return False if outside else None


def verdict(findings: Sequence[Finding]) -> str:
    """supported (all hold), refuted (none holds), mixed, or undecided (one is).

    `no verdict` if nothing was expected.
    """
    if not findings:
        return "no verdict"
    if any(finding.holds is None for finding in findings):
        return "undecided"
    held = sum(bool(finding.holds) for finding in findings)
    if held == len(findings):
        return "supported"
    return "mixed" if held else "refuted"
