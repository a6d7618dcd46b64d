"""Answers one by one: how well each is known, by what may decide it.

By the distance back to the information that decides it, by its position, and by how
rare it is in training: the surprisal that its frequency alone gives, which is the loss
of a model that reads nothing and knows how often each answer is right.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import jax
import numpy as np

from attn_research.analysis.compiled import shared
from attn_research.analysis.statistics import Interval, bootstrap
from attn_research.checkpoint import Restored
from attn_research.losses import losses
from attn_research.options import BadInput
from attn_research.program import predict
from attn_research.tasks.contract import Batch, Spec


class Answers(NamedTuple):
    """What is asked of some sequences, and how well each answer is known.

    `sequence_N` says which sequence an answer is of, `score_N` is the first of the
    `losses.SCORES` of the target, `gap_N` is -1 where it is unknown. Targets of several
    numbers have an axis more.
    """

    sequence_N: np.ndarray
    loss_N: np.ndarray
    score_N: np.ndarray
    gap_N: np.ndarray
    position_N: np.ndarray
    target_N: np.ndarray


class Bin(NamedTuple):
    """The mean of answers from `low` to `high`, and its interval over sequences."""

    low: float
    high: float
    answers: int
    mean: Interval


def each_answer(restored: Restored, spec: Spec, batches: Iterable[Batch]) -> Answers:
    """Every answer that counts, of every sequence; the head is evaluated there only."""
    found: list[Answers] = []
    before = 0
    for batch in batches:
        each = jax.tree.map(np.asarray, _each(restored, spec, batch))
        counts_BL = each.pop("weight") > 0
        rows_BL = np.broadcast_to(
            before
            + np.arange(len(counts_BL)).reshape((-1,) + (1,) * (counts_BL.ndim - 1)),
            counts_BL.shape,
        )
        before += len(counts_BL)
        found.append(
            Answers(
                rows_BL[counts_BL],
                *(each[name][counts_BL] for name in
                  ("loss", "score", "gap", "position", "target")),
            )
        )  # fmt: skip
    return _concatenated(found)


def joined(found: Sequence[Answers]) -> Answers:
    """The answers of several sets of sequences, which are all told apart."""
    before, apart = 0, []
    for one in found:
        apart.append(one._replace(sequence_N=one.sequence_N + before))
        before += int(one.sequence_N.max(initial=-1)) + 1
    return _concatenated(apart)


def _concatenated(found: Sequence[Answers]) -> Answers:
    return Answers(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


@shared(1)
def _each(restored: Restored, spec: Spec, batch: Batch) -> dict[str, jax.Array]:
    outputs, asked, position = predict(
        spec, restored.model, restored.params, batch, None
    )
    loss, scores = losses(
        outputs, asked.targets, spec.target, batch.segments, spec.longest
    )
    return {
        "weight": asked.weights,
        "loss": loss,
        "score": scores[0],
        "gap": asked.gap,
        "position": position,
        "target": asked.targets,
    }


def rarity(spec: Spec, batches: Iterable[Batch]) -> np.ndarray:
    """rarity_V: the surprisal of each answer by its frequency in batches, in nats.

    Each is counted once more than it is there, so that one that is never there is rare
    and not impossible. Raises `BadInput` where an answer is no token and no class.
    """
    if spec.target not in ("token", "class"):
        raise BadInput(
            f"An answer is a {spec.target}; how rare it is can be told of tokens and "
            "classes"
        )
    count_V = np.ones(spec.outputs)
    for batch in batches:
        asked = np.asarray(batch.targets)[np.asarray(batch.weights) > 0]
        count_V += np.bincount(asked, minlength=spec.outputs)
    return -np.log(count_V / count_V.sum())


def binned(
    found: Answers,
    value_N: np.ndarray,
    place_N: np.ndarray,
    edges: Sequence[tuple[float, float]],
) -> list[Bin]:
    """The mean of a value of answers where a place lies in each stretch, both ends in.

    Over the means of the sequences that have answers there; stretches without any are
    left out.
    """
    bins = []
    for low, high in edges:
        here_N = (place_N >= low) & (place_N <= high)
        if not here_N.any():
            continue
        _, row_N = np.unique(found.sequence_N[here_N], return_inverse=True)
        mean_B = np.bincount(row_N, value_N[here_N]) / np.bincount(row_N)
        bins.append(Bin(low, high, int(here_N.sum()), bootstrap(list(mean_B))))
    return bins
