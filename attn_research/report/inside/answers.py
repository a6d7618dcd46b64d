"""The loss and the score of answers by distance, position, rarity and length."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from attn_research.analysis import answers
from attn_research.analysis import statistics as stats
from attn_research.analysis.answers import Answers
from attn_research.analysis.lengths import at_lengths
from attn_research.analysis.subject import Subject
from attn_research.losses import SCORES
from attn_research.modules import pattern
from attn_research.options import BadInput
from attn_research.report.axes import Series
from attn_research.report.figures import Plan, TableRow
from attn_research.report.formatting import between
from attn_research.report.inside.contract import Display, few
from attn_research.tasks.contract import Batch
from attn_research.training.metrics import edges

LONGEST = 4096  # tokens at most of a sequence that is longer than in training
COUNTABLE = ("token", "class")  # targets that have frequencies


class Along(NamedTuple):
    """A quantity to order answers by: its name, its words, its values and its bins."""

    x: str
    words: str
    place_N: np.ndarray
    edges: Sequence[tuple[float, float]]


def show_answers(subject: Subject) -> list[Display]:
    """The loss and the score of answers by position, distance and rarity, if known."""
    spec, _ = subject.answered

    def batches() -> Iterator[Batch]:
        for part in subject.parts():
            yield part.answered[1]

    every = answers.each_answer(subject.restored, spec, batches())
    doublings, last = edges(spec.length), "last " * spec.per_sequence
    along = [
        Along(
            f"{last}position",
            f"the {last}position of its sequence" if last else "its position",
            every.position_N,
            doublings,
        )
    ]
    if (every.gap_N >= 0).any():
        words = "the distance back to the information that decides it"
        along.insert(0, Along("gap", words, every.gap_N, doublings))
    training = list(subject.training()) if spec.target in COUNTABLE else []
    if training:
        rarity_V = answers.rarity(spec, training)
        nats = [(n, n + 1 - 1e-9) for n in range(math.ceil(rarity_V.max()) + 1)]
        words = "its surprisal, from its frequency in training"
        along.append(Along("rarity", words, rarity_V[every.target_N], nats))
    label = pattern.brief(subject.restored.config.model.pattern)
    return [
        display
        for one in along
        for display in _displays(every, SCORES[spec.target], one, label)
    ]


def show_lengths(subject: Subject) -> list[Display]:
    """The loss and the score at the trained length and at others.

    On test sequences of a quarter to eight times the length, if the task and the model
    allow it.
    """
    restored, spec = subject.restored, subject.spec
    if spec is None:
        raise BadInput("A text has one length; the input must be of a --split")
    lengths = [spec.length // 4, *(spec.length * n for n in (1, 2, 4, 8))]
    lengths = [one for one in lengths if 2 <= one <= max(LONGEST, spec.length)]
    every, length_N = at_lengths(restored, lengths, few(spec.length))
    edges = [(length, length) for length in sorted(set(length_N.tolist()))]
    along = Along("length", "the length of its sequence", length_N, edges)
    label = pattern.brief(restored.config.model.pattern)
    displays = _displays(every, SCORES[spec.target], along, label)
    for row in displays[0].summary:
        row["times the trained length"] = row["length from"] / spec.length
    return displays


def _displays(
    every: Answers, scores: Sequence[str], along: Along, label: str
) -> list[Display]:
    """The figures of loss and score along a quantity, and a table of both."""
    rows: dict[tuple[float, float], TableRow] = {}
    plans = []
    for y, value_N in (("loss", every.loss_N), (scores[0], every.score_N)):
        points = []
        for one in answers.bin_means(every, value_N, along.place_N, along.edges):
            names = f"{along.x} from", "to", "answers"
            span = one.low, round(one.high), one.answers
            row = rows.setdefault(span[:2], dict(zip(names, span, strict=True)))
            row |= {y: one.mean.mean, f"95 % ({y})": between(one.mean)}
            points.append((_middle(along.x, one.low, one.high), one.mean))
        series: Series = {label: points}
        words = y.replace("_", " ")
        plan = Plan(
            f"{y}_by_{along.x.replace(' ', '_')}",
            f"{words.capitalize()} by {along.x}",
            f"The {words} of an answer by {along.words}; mean over sequences.",
            {"": series},
            along.x,
            y,
            log_x=along.x != "rarity",
        )
        plans.append(plan)
    first, second = plans
    return [Display(first, list(rows.values())), Display(second, [])]


def _middle(x: str, low: float, high: float) -> float:
    return (low + high) / 2 if x == "rarity" else stats.middle(low, high)
