"""The loss and the score of every answer, to be compared by distance, position, rarity.

The distance is that back to the information that decides the answer. The rarity is the
surprisal of the answer by its frequency in training alone: the loss of a model that
reads nothing and knows how often each answer is right.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import jax
import numpy as np

from attn_research.analysis.sharing import shared
from attn_research.analysis.statistics import Interval, mean_interval
from attn_research.checkpoint import Restored
from attn_research.losses import existing, losses
from attn_research.options import BadInput
from attn_research.tasks.contract import Batch, Spec
from attn_research.training.predictions import predict


class Answers(NamedTuple):
    """The answers to some sequences, each with its loss and score.

    `sequence_N` is the index of an answer's sequence, `score_N` the first of the
    `losses.SCORES` of the target, `gap_N` the distance, -1 if it is unknown. Targets of
    several numbers have another axis.
    """

    sequence_N: np.ndarray
    loss_N: np.ndarray
    score_N: np.ndarray
    gap_N: np.ndarray
    position_N: np.ndarray
    target_N: np.ndarray


class Bin(NamedTuple):
    """The mean over answers from `low` to `high`, with its interval over sequences."""

    low: float
    high: float
    answers: int
    mean: Interval


def each_answer(restored: Restored, spec: Spec, batches: Iterable[Batch]) -> Answers:
    """Every answer that counts, of every sequence; the head is evaluated only there."""
    by_batch: list[Answers] = []
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
        by_batch.append(
            Answers(
                rows_BL[counts_BL],
                *(each[name][counts_BL] for name in
                  ("loss", "score", "gap", "position", "target")),
            )
        )  # fmt: skip
    return _concatenated(by_batch)


def join(sets: Sequence[Answers]) -> Answers:
    """The answers of several sets of sequences, the sequences numbered anew."""
    before, renumbered = 0, []
    for answers in sets:
        renumbered.append(answers._replace(sequence_N=answers.sequence_N + before))
        before += int(answers.sequence_N.max(initial=-1)) + 1
    return _concatenated(renumbered)


def _concatenated(sets: Sequence[Answers]) -> Answers:
    return Answers(*(np.concatenate(parts) for parts in zip(*sets, strict=True)))


@shared(1)
def _each(restored: Restored, spec: Spec, batch: Batch) -> dict[str, jax.Array]:
    outputs, asked, position = predict(
        spec, restored.model, restored.params, batch, None
    )
    loss, scores = losses(
        outputs,
        asked.targets,
        spec.target,
        batch.segments,
        spec.longest,
        asked.weights,
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

    Every count is raised by one, so that an answer that never occurs is rare and not
    impossible. Raises `BadInput` if answers are neither tokens nor classes.
    """
    if spec.target not in ("token", "class"):
        raise BadInput(
            f"An answer is of the kind {spec.target}; for its rarity it must be a "
            "token or a class"
        )
    count_V = np.ones(spec.outputs)
    for batch in batches:
        targets, _ = existing(batch.targets, spec.outputs, batch.weights)
        asked = np.asarray(targets)[np.asarray(batch.weights) > 0]
        count_V += np.bincount(asked, minlength=spec.outputs)
    return -np.log(count_V / count_V.sum())


def bin_means(
    answers: Answers,
    value_N: np.ndarray,
    place_N: np.ndarray,
    edges: Sequence[tuple[float, float]],
) -> list[Bin]:
    """The mean of `value_N` over the answers whose `place_N` is in each bin.

    Both edges belong to a bin. It is the mean over the sequences with answers there, of
    the mean of each; bins without answers are left out.
    """
    bins = []
    for low, high in edges:
        here_N = (place_N >= low) & (place_N <= high)
        if not here_N.any():
            continue
        _, row_N = np.unique(answers.sequence_N[here_N], return_inverse=True)
        mean_B = np.bincount(row_N, value_N[here_N]) / np.bincount(row_N)
        bins.append(Bin(low, high, int(here_N.sum()), mean_interval(list(mean_B))))
    return bins
