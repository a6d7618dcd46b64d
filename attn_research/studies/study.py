"""A study: a question, the cells that answer it, and the answer that is expected.

A study is data. Its cells are the product of its `axes` (dotted config fields) over a
`base` config, each trained as one population. Each `Expectation` is stated before
anything runs: a number measured from the collected rows, with an interval if it is
uncertain, and the bounds it should fall in. The verdict follows from these alone.
"""

import dataclasses
import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from attn_research.config import Config, Population, content_hash, edit, to_dict

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
    returns NaN if the rows cannot tell, and raises only by mistake. The `claim` is
    shown without its neighbours.

    Expectations with the same `part` are one conjunction, those without are a part
    each; the verdict is taken over the parts. One that does not `decide` is shown, and
    changes no verdict. `why` gives the reason for the bounds.
    """

    claim: str
    measure: Callable[[Sequence[Row]], float | Interval]
    low: float = -math.inf
    high: float = math.inf
    unit: str = ""
    part: str = ""
    decides: bool = True
    why: str = ""


@dataclass(frozen=True)
class Gate:
    """What must hold before a study tests anything: a sentence, a number, its bounds.

    A positive control is what must succeed (the reference solves the task), a negative
    one what must fail (a model that cannot see the answer is at chance); the others ask
    for a gap to explain or a trivial baseline to be beaten. The verdict is `not tested`
    if a gate does not hold.
    """

    claim: str
    measure: Callable[[Sequence[Row]], float | Interval]
    low: float = -math.inf
    high: float = math.inf
    unit: str = ""
    control: Literal["", "positive", "negative"] = ""
    why: str = ""


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
    in the ledger. The first expectation measures the effect. The `gates` say what must
    hold for the study to test anything.
    """

    name: str
    question: str
    claim: str
    base: Config = Config()
    axes: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    population: Population = Population()
    expectations: tuple[Expectation, ...] = ()
    gates: tuple[Gate, ...] = ()
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
    return _stated(study.expectations)


def conditions(study: Study) -> list[dict[str, Any]]:
    """The gates of a study as JSON, in the form of `predictions`."""
    return _stated(study.gates)


def budget(study: Study) -> dict[str, Any]:
    """What is run for a study, as JSON: its base, its axes and its population."""
    axes = {name: list(values) for name, values in study.axes.items()}
    return {
        "base": to_dict(study.base),
        "axes": json.loads(json.dumps(axes)),
        "population": to_dict(study.population),
    }


def _stated(said: Sequence[Expectation | Gate]) -> list[dict[str, Any]]:
    return [
        {
            "claim": expectation.claim,
            "low": expectation.low if math.isfinite(expectation.low) else None,
            "high": expectation.high if math.isfinite(expectation.high) else None,
            "unit": expectation.unit,
        }
        for expectation in said
    ]
