"""The result of an analysis: figures to draw, each with a table under it."""

from collections.abc import Callable
from typing import NamedTuple

from attn_research.analysis.subject import Subject
from attn_research.report import figures, matrices
from attn_research.report.figures import Figure, Plan, TableRow
from attn_research.report.matrices import Images

WORK = 8192  # tokens that one sequence may cost in all of its outputs


class Display(NamedTuple):
    """A figure to draw, and the table under it.

    The label of a series, and the title, may end with a mixer in brackets, which is
    left out if runs with other mixers are compared.
    """

    plan: Plan | Images
    summary: list[TableRow]


class Analysis(NamedTuple):
    """One sentence on what an analysis shows, and the analysis."""

    sentence: str
    show: Callable[[Subject], list[Display]]


def few(length: int) -> int:
    """The number of outputs to examine in a sequence, 32 to 8, fewer in longer ones."""
    return min(max(WORK // length, 8), 32)


def draw(plan: Plan | Images) -> Figure:
    """The figure of a plan."""
    return matrices.draw(plan) if isinstance(plan, Images) else figures.draw(plan)
