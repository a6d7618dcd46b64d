"""Numbers, intervals and expectations as text."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attn_research.studies.judging import Finding
from attn_research.studies.study import Interval, Study, conditions, predictions

MANY = 4  # changes that are told
ROUNDING = 1e-15  # the rounding error of a difference of equal numbers near 1


def number(value: Any) -> str:
    """A value as text; numbers with four digits, rounding errors as 0."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if math.isnan(value):
        return "unknown"
    if math.isinf(value):
        return "infinite"
    if isinstance(value, int):
        return f"{value:,}"
    if abs(value) < ROUNDING:
        return "0"
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def between(interval: Interval) -> str:
    """An interval in words, empty if it is unknown."""
    if math.isnan(interval.low):
        return ""
    return f"{number(interval.low)} to {number(interval.high)}"


def measured(finding: Finding) -> str:
    """The measured value with its unit and interval: `0.25 bits (0.2 to 0.3)`."""
    unit = finding.expectation.unit
    value = f"{number(finding.value)} {unit}" if unit else number(finding.value)
    interval = between(finding.interval) if finding.interval else ""
    return f"{value} ({interval})" if interval else value


def expected(finding: Finding) -> str:
    """The bounds within which an expectation holds, in words."""
    return bounded(finding.expectation.low, finding.expectation.high)


def bounded(low: float, high: float) -> str:
    """`at least 0.9`, `at most 0.5`, `0.5 to 0.9`."""
    if math.isinf(low) and math.isinf(high):
        return "a number"
    if math.isinf(high):
        return f"at least {number(low)}"
    if math.isinf(low):
        return f"at most {number(high)}"
    return f"{number(low)} to {number(high)}"


def changes(described: Mapping[str, Any], study: Study) -> list[str]:
    """A sentence for each expectation and gate that changed since the study began.

    New words for the same bounds, at the same place in the order, do not count. One
    more if what is run has changed: a budget that grew until it decided decides less.
    """
    if study.expectations and not described["expected"]:
        return ["The expectations were not recorded when the study began."]
    return [
        *_changed("Expected", described["expected"], predictions(study)),
        *_changed("A gate", described["gates"], conditions(study)),
        *_grown(described),
    ]


def _grown(described: Mapping[str, Any]) -> list[str]:
    """A sentence on what is run now and was not registered when the study began."""
    before, now = (
        dict(_leaves({name: one.get(name) for name in ("base", "axes", "population")}))
        for one in (described["registered"], described)
    )
    differ = [
        f"{name} was {before.get(name, 'missing')} and is {now.get(name, 'missing')}"
        for name in dict.fromkeys([*before, *now])
        if before.get(name) != now.get(name)
    ]
    if not differ:
        return []
    more = f" and {len(differ) - MANY} more" if len(differ) > MANY else ""
    return [
        "What is run has changed since the study began, so that its verdict is "
        f"exploratory until fresh seeds confirm it: {'; '.join(differ[:MANY])}{more}."
    ]


def _leaves(node: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Dotted name -> value of every leaf of nested dicts, lists as they are written."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _leaves(value, f"{name}.{key}" if name else key)
    elif node is not None:
        text = ", ".join(map(str, node)) if isinstance(node, list) else str(node)
        yield name.removeprefix("base."), text


def _changed(
    what: str, before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]
) -> list[str]:
    dropped = [prediction for prediction in before if prediction not in now]
    added = [prediction for prediction in now if prediction not in before]
    if len(dropped) == len(added):
        pairs = zip(dropped, added, strict=True)
        changed = [pair for pair in pairs if _bounds(pair[0]) != _bounds(pair[1])]
        dropped, added = [old for old, _ in changed], [new for _, new in changed]
    then = f"{what} when the study began, but not now: "
    later = f"{what} now, but not when the study began: "
    return [
        *(f"{then}{_sentence(prediction)}." for prediction in dropped),
        *(f"{later}{_sentence(prediction)}." for prediction in added),
    ]


def _bounds(prediction: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(prediction.get(name) for name in ("low", "high", "unit"))


def _sentence(prediction: Mapping[str, Any]) -> str:
    low = -math.inf if prediction["low"] is None else prediction["low"]
    high = math.inf if prediction["high"] is None else prediction["high"]
    return f"{prediction['claim']}, {bounded(low, high)}"


def decided(finding: Finding) -> str:
    """Whether an expectation or a gate holds, in a word."""
    if finding.error:
        return "error"
    return {True: "yes", False: "no", None: "undecided"}[finding.holds]


def remarked(finding: Finding) -> str:
    """What else is to be said of a finding, a sentence or none."""
    if finding.error:
        return f"Its measure raised {finding.error}."
    if finding.alone:
        return "It fails alone, but not once all expectations are tested together."
    decides = getattr(finding.expectation, "decides", True)
    said = [] if decides else ["It does not decide"]
    return "; ".join([*said, *finding.doubts]) + "." if said or finding.doubts else ""


def counted(count: int, one: str, many: str = "") -> str:
    """`1 cell`, `1,200 cells`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
