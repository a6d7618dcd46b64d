"""A study: a question, the cells that answer it, and what is expected of the answer.

A study is data. Its cells are the product of its `axes` (dotted config fields) over a
`base` config, each trained as one population. An `Expectation` is decided before
anything runs: a number measured from the collected rows, with its uncertainty where it
has one, and the interval it should fall in. The verdict follows from these alone.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from attn_research.config import Config, Population, content_hash, replace

Row = Mapping[str, Any]


class Interval(NamedTuple):
    """An estimate and its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Expectation:
    """A sentence, the number that decides it, and the bounds within which it holds.

    `measure` gets the rows of every finished member (see `store.collect`) and returns
    a number, which decides as it is, or an `Interval`, which decides as a whole: it
    holds inside of the bounds, fails outside of them, and says nothing where it reaches
    across one. NaN where the rows do not say.
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

    `source` says who makes the claim (author, year, arXiv id), each of the `confounds`
    what is held equal, and `figure` names the figure of the report that tells most; the
    first expectation measures the effect.
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
        Cell(replace(study.base, dict(zip(study.axes, point, strict=True))),
             study.population)
        for point in points
    ]  # fmt: skip


def change(
    study: Study, axes: Mapping[str, Sequence[Any]], population: Mapping[str, Any]
) -> Study:
    """The study with axes replaced or added, and with other population lists."""
    return dataclasses.replace(
        study,
        axes={**study.axes, **axes},
        population=replace(study.population, population),
    )


def predictions(study: Study) -> list[dict[str, Any]]:
    """What a study expects, as JSON: the claims, their bounds (None: none), units."""
    return [
        {
            "claim": one.claim,
            "low": one.low if math.isfinite(one.low) else None,
            "high": one.high if math.isfinite(one.high) else None,
            "unit": one.unit,
        }
        for one in study.expectations
    ]


class Finding(NamedTuple):
    """An expectation, what was measured, and whether it holds (None: undecided).

    `interval` is None where the measure is a plain number.
    """

    expectation: Expectation
    value: float
    holds: bool | None
    interval: Interval | None = None


def findings(study: Study, rows: Sequence[Row], missing: int = 0) -> list[Finding]:
    """Each expectation of a study against the rows that were collected.

    Nothing is decided while cells are `missing`: what is best may still change.
    """
    found = []
    for expectation in study.expectations:
        try:
            measured = expectation.measure(rows)
        except (ValueError, KeyError, ZeroDivisionError, IndexError):
            measured = math.nan  # the rows it needs are not there yet
        if isinstance(measured, Interval):
            whole, interval = measured, measured
        else:
            value = float(measured)
            whole, interval = Interval(value, value, value), None
        holds = None if missing else _holds(expectation, whole)
        found.append(Finding(expectation, whole.mean, holds, interval))
    return found


def _holds(expectation: Expectation, whole: Interval) -> bool | None:
    """Whether an interval is inside of the bounds; None across one, or unknown."""
    if expectation.low <= whole.low <= whole.high <= expectation.high:
        return True
    outside = whole.high < expectation.low or whole.low > expectation.high
    return False if outside else None


def verdict(found: Sequence[Finding]) -> str:
    """supported, refuted, mixed or undecided, from what holds and what does not."""
    if not found or any(finding.holds is None for finding in found):
        return "undecided"
    held = sum(bool(finding.holds) for finding in found)
    if held == len(found):
        return "supported"
    return "mixed" if held else "refuted"
