"""What is said of a user's mistake: one sentence, with the nearest known name."""

import difflib
from collections.abc import Iterable


class BadInput(ValueError):
    """A user's mistake, in one sentence: what was given and what it must be."""


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean ...?` if a known name is close, else ``."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def unknown(kind: str, name: str, known: Iterable[str]) -> BadInput:
    """The error for a name outside a table, listing the table."""
    known = sorted(known)
    allowed = ", ".join(known) if known else "none"
    return BadInput(f"Unknown {kind} {name!r} (known: {allowed}){nearest(name, known)}")
