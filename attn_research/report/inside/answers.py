"""How well answers are known: loss and score by distance, position, rarity, length."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from attn_research.analysis import answers as of
from attn_research.analysis import statistics as stats
from attn_research.analysis.answers import Answers
from attn_research.analysis.lengths import at_lengths
from attn_research.analysis.subject import Subject
from attn_research.evaluate import edges
from attn_research.losses import SCORES
from attn_research.modules import pattern
from attn_research.options import BadInput
from attn_research.report.figures import Plan, Series
from attn_research.report.inside.contract import Line, Shown, few
from attn_research.report.words import between
from attn_research.tasks.contract import Batch

LONGEST = 4096  # tokens of a sequence that is longer than in training
KNOWN = ("token", "class")  # targets whose frequency can be told


class Along(NamedTuple):
    """What answers are put in order by, in a word and in words, and its bins."""

    x: str
    words: str
    place_N: np.ndarray
    edges: Sequence[tuple[float, float]]


def answers(subject: Subject) -> list[Shown]:
    """The loss and the score of every answer, along each of what there is of it."""
    spec, _ = subject.answered

    def batches() -> Iterator[Batch]:
        for part in subject.parts():
            yield part.answered[1]

    found = of.each_answer(subject.restored, spec, batches())
    doublings, last = edges(spec.length), "last " * spec.per_sequence
    along = [
        Along(
            f"{last}position",
            f"the {last}position of its sequence" if last else "its position",
            found.position_N,
            doublings,
        )
    ]
    if (found.gap_N >= 0).any():
        words = "the distance back to the information that decides it"
        along.insert(0, Along("gap", words, found.gap_N, doublings))
    training = list(subject.training()) if spec.target in KNOWN else []
    if training:
        rarity_V = of.rarity(spec, training)
        nats = [(n, n + 1 - 1e-9) for n in range(math.ceil(rarity_V.max()) + 1)]
        words = "what its frequency in training alone leaves to be known"
        along.append(Along("rarity", words, rarity_V[found.target_N], nats))
    label = pattern.brief(subject.restored.config.model.pattern)
    return [
        shown
        for one in along
        for shown in _shown(found, SCORES[spec.target], one, label)
    ]


def lengths(subject: Subject) -> list[Shown]:
    """The loss and the score at lengths that were not trained, and at the one that was.

    Of test sequences; at a quarter to eight times the length, as far as the task and
    the model have it.
    """
    restored, spec = subject.restored, subject.spec
    if spec is None:
        raise BadInput("A text has one length; --split is allowed")
    asked = [spec.length // 4, *(spec.length * n for n in (1, 2, 4, 8))]
    asked = [one for one in asked if 2 <= one <= max(LONGEST, spec.length)]
    found, length_N = at_lengths(restored, asked, few(spec.length))
    known = sorted(set(length_N.tolist()))
    edges = [(one, one) for one in known]
    along = Along("length", "the length of its sequence", length_N, edges)
    label = pattern.brief(restored.config.model.pattern)
    shown = _shown(found, SCORES[spec.target], along, label)
    for line in shown[0].summary:
        line["times the trained"] = line["length from"] / spec.length
    return shown


def _shown(
    found: Answers, scores: Sequence[str], along: Along, label: str
) -> list[Shown]:
    """The figures of loss and score along something, and a table of both."""
    lines: dict[tuple[float, float], Line] = {}
    plans = []
    for y, value_N in (("loss", found.loss_N), (scores[0], found.score_N)):
        points = []
        for one in of.binned(found, value_N, along.place_N, along.edges):
            names = f"{along.x} from", "to", "answers"
            span = one.low, round(one.high), one.answers
            line = lines.setdefault(span[:2], dict(zip(names, span, strict=True)))
            line |= {y: one.mean.mean, f"95 % ({y})": between(one.mean)}
            points.append((_middle(along.x, one.low, one.high), one.mean))
        series: Series = {label: points}
        said = y.replace("_", " ")
        plan = Plan(
            f"{y}_by_{along.x.replace(' ', '_')}",
            f"{said.capitalize()} by {along.x}",
            f"The {said} of an answer by {along.words}; mean over sequences.",
            {"": series},
            along.x,
            y,
            log_x=along.x != "rarity",
        )
        plans.append(plan)
    first, second = plans
    return [Shown(first, list(lines.values())), Shown(second, [])]


def _middle(x: str, low: float, high: float) -> float:
    return (low + high) / 2 if x == "rarity" else stats.middle(low, high)
