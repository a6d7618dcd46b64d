"""What makes a measured number doubtful, noted where it is measured.

`at_best_rate` notes a mixer whose best learning rate lies at an end of those tried, or
that was still learning when its steps ended; whoever judges the number asks for what
was noted meanwhile.
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

_noted: ContextVar[dict[str, None] | None] = ContextVar("noted", default=None)


@contextlib.contextmanager
def noting() -> Iterator[dict[str, None]]:
    """Within it, doubts are collected: the keys of a dict, each sentence once."""
    found: dict[str, None] = {}
    token = _noted.set(found)
    try:
        yield found
    finally:
        _noted.reset(token)


@contextlib.contextmanager
def unnoted() -> Iterator[None]:
    """Within it, no doubt is noted: of what decides no number itself."""
    token = _noted.set(None)
    try:
        yield
    finally:
        _noted.reset(token)


def note(sentence: str) -> None:
    """Notes a doubt, if anyone asks."""
    found = _noted.get()
    if found is not None:
        found[sentence] = None
