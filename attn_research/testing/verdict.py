"""What a law says about a mixer or a task, and how a fault is put into words."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from attn_research.options import BadInput, unknown

LINES = 3  # of the message of a comparison of arrays


class LawBroken(AssertionError):
    """A mixer or a task breaks laws; the message names each and its smallest case."""


class Verdict(NamedTuple):
    """A law and what it demands; the smallest `case` with a `fault` if it is broken."""

    law: str
    sentence: str
    case: str = ""
    fault: str | None = None

    def __str__(self) -> str:
        if self.fault is None:
            return f"{self.law}: kept"
        return f"{self.law}: broken by {self.case}: {self.fault} ({self.sentence})"


def chosen(laws: Sequence[str], known: Sequence[str]) -> Sequence[str]:
    """The laws that are asked for, all if none is; raises `BadInput` if unknown."""
    if not __debug__:
        raise BadInput(
            "Python runs with -O, which takes the laws out; it must run without"
        )
    for name in laws:
        if name not in known:
            raise unknown("law", name, known)
    return laws or known


def broken(law: Callable[[], Any]) -> str | None:
    """What is wrong, in one line, None if the law holds; any error breaks a law."""
    try:
        law()
    except AssertionError as error:
        return _line(str(error)) or "an assertion without words"
    except Exception as error:
        return _line(f"{type(error).__name__}: {error}")
    return None


def first_line(law: Callable[..., Any]) -> str:
    """What a law demands: the first line of its docstring."""
    return (law.__doc__ or "").partition("\n")[0]


def _line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "; ".join(lines[:LINES])


def require(verdicts: Iterable[Verdict]) -> None:
    """Raises `LawBroken` with every verdict that is not kept."""
    faults = [str(one) for one in verdicts if one.fault is not None]
    if faults:
        raise LawBroken("\n".join(faults))
