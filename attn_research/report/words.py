"""Numbers and intervals as a person reads them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from attn_research.study import Finding, Interval, Study, predictions

ROUNDING = 1e-15  # what is left of a difference of equal numbers of a usual size


def number(value: Any) -> str:
    """A value as a person reads it; numbers with four digits, rounding errors as 0."""
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
    """An interval in words, nothing where there is none."""
    if math.isnan(interval.low):
        return ""
    return f"{number(interval.low)} to {number(interval.high)}"


def measured(found: Finding) -> str:
    """What was measured, with its unit and its interval: `0.25 bits (0.2 to 0.3)`."""
    unit = found.expectation.unit
    told = f"{number(found.value)} {unit}" if unit else number(found.value)
    reach = between(found.interval) if found.interval else ""
    return f"{told} ({reach})" if reach else told


def expected(found: Finding) -> str:
    """The bounds within which an expectation holds, in words."""
    return bounded(found.expectation.low, found.expectation.high)


def bounded(low: float, high: float) -> str:
    """`at least 0.9`, `at most 0.5`, `0.5 to 0.9`."""
    if math.isinf(low) and math.isinf(high):
        return "a number"
    if math.isinf(high):
        return f"at least {number(low)}"
    if math.isinf(low):
        return f"at most {number(high)}"
    return f"{number(low)} to {number(high)}"


def changed(before: Sequence[Mapping[str, Any]], study: Study) -> list[str]:
    """A sentence on all that was not expected, or was otherwise, at a study's start."""
    now = predictions(study)
    if now and not before:
        return ["What is expected was not written down when the study was begun."]
    then = "Expected when the study was begun, and not now: "
    later = "Expected now, and not when the study was begun: "
    return [
        *(f"{then}{_prediction(one)}." for one in before if one not in now),
        *(f"{later}{_prediction(one)}." for one in now if one not in before),
    ]


def _prediction(one: Mapping[str, Any]) -> str:
    low = -math.inf if one["low"] is None else one["low"]
    high = math.inf if one["high"] is None else one["high"]
    return f"{one['claim']}, {bounded(low, high)}"


def decided(found: Finding) -> str:
    """Whether an expectation holds, in a word."""
    return {True: "yes", False: "no", None: "undecided"}[found.holds]


def counted(count: int, one: str, many: str = "") -> str:
    """`1 cell`, `1,200 cells`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def duration(seconds: float) -> str:
    """A time as a person reads it: 45 s, 12 min, 3.5 h."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
