"""What an analysis of the inside of a model gives to the page."""

from collections.abc import Callable
from typing import Any, NamedTuple

from attn_research.analysis.subject import Subject
from attn_research.report.figures import Figure

Line = dict[str, Any]


class Shown(NamedTuple):
    """A figure and the table under it."""

    figure: Figure
    summary: list[Line]


class Analysis(NamedTuple):
    """One sentence on what an analysis shows, and the analysis."""

    sentence: str
    show: Callable[[Subject], list[Shown]]
