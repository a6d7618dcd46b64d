"""Numbers and intervals as a person reads them."""

import math
from typing import Any

from attn_research.analysis.statistics import Interval


def number(value: Any) -> str:
    """A value as a person reads it; numbers with four digits."""
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
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def between(interval: Interval) -> str:
    """An interval in words, nothing where there is none."""
    if math.isnan(interval.low):
        return ""
    return f"{number(interval.low)} to {number(interval.high)}"
