"""A study: a question, the cells that answer it, and what is expected of the answer.

A study is data. Its cells are the product of its `axes` (dotted config fields) over a
`base` config, each trained as one population. An `Expectation` is decided before
anything runs: a number measured from the collected rows, and the interval it should
fall in.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from attn_research.config import Config, Population, content_hash, replace

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Expectation:
    """A sentence, the number that decides it, and the interval where it holds.

    `measure` gets the rows of every finished member (see `store.collect`) and returns
    a number, NaN where the rows do not say.
    """

    claim: str
    measure: Callable[[Sequence[Row]], float]
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
    """A question put to a grid of cells; the docstring of its experiment says more."""

    name: str
    question: str
    claim: str
    base: Config = Config()
    axes: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    population: Population = Population()
    expectations: tuple[Expectation, ...] = ()


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


class Finding(NamedTuple):
    """An expectation, what was measured, and whether it holds (None: undecided)."""

    expectation: Expectation
    value: float
    holds: bool | None


def findings(study: Study, rows: Sequence[Row]) -> list[Finding]:
    """Each expectation of a study against the rows that were collected."""
    found = []
    for expectation in study.expectations:
        try:
            value = float(expectation.measure(rows))
        except (ValueError, KeyError, ZeroDivisionError, IndexError):
            value = math.nan  # the rows it needs are not there yet
        decided = not math.isnan(value)
        holds = expectation.low <= value <= expectation.high if decided else None
        found.append(Finding(expectation, value, holds))
    return found


def verdict(found: Sequence[Finding]) -> str:
    """supported, refuted, mixed or undecided, from what holds and what does not."""
    if not found or any(finding.holds is None for finding in found):
        return "undecided"
    held = sum(bool(finding.holds) for finding in found)
    if held == len(found):
        return "supported"
    return "mixed" if held else "refuted"
