"""What an analysis of the inside of a model gives to the page."""

from collections.abc import Callable
from typing import Any, NamedTuple

from attn_research.analysis.subject import Subject
from attn_research.report import figures, matrices
from attn_research.report.figures import Figure, Plan
from attn_research.report.matrices import Images

Line = dict[str, Any]
WORK = 8192  # tokens that are run through for what a sequence is asked


class Shown(NamedTuple):
    """What is to be drawn, and the table under it.

    The label of a series, and the title, may end in brackets: they name a mixer, and
    are left out where runs with others are compared.
    """

    plan: Plan | Images
    summary: list[Line]


class Analysis(NamedTuple):
    """One sentence on what an analysis shows, and the analysis."""

    sentence: str
    show: Callable[[Subject], list[Shown]]


def few(length: int) -> int:
    """How many outputs of a sequence are asked: fewer of a longer one, 8 to 32."""
    return min(max(WORK // length, 8), 32)


def drawn(plan: Plan | Images) -> Figure:
    """The figure of a plan."""
    if isinstance(plan, Images):
        return matrices.draw(**plan._asdict())
    return figures.draw(**plan._asdict())
