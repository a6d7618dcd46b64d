"""How sure an interval is: 95 %, or more if several tests must hold at once."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

LEVEL = 0.95
_level = ContextVar("level", default=LEVEL)


@contextlib.contextmanager
def confident(level: float) -> Iterator[None]:
    """Within it, intervals of `analysis.statistics` cover with this probability."""
    token = _level.set(level)
    try:
        yield
    finally:
        _level.reset(token)


def tail() -> float:
    """The probability that the truth lies above an interval, and that it lies below."""
    return (1 - _level.get()) / 2
