"""The number of pairs that a model recalls, and the bytes of its state.

The model gets sequences of its own task with more and more pairs. The bytes of a state
of fixed size bound what it can recall (Arora et al., 2024, arXiv:2402.18668).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from attn_research import tasks
from attn_research.analysis import statistics as stats
from attn_research.analysis.ablation import sequence_scores
from attn_research.analysis.sharing import shared
from attn_research.analysis.statistics import Interval
from attn_research.checkpoint import Restored
from attn_research.options import BadInput
from attn_research.options.specs import parse, spell
from attn_research.tasks.contract import Batch, Spec, split_index
from attn_research.training.predictions import evaluation_batch
from attn_research.training.program import cost

RECALL = ("recall", "mqar")


class Recall(NamedTuple):
    """Pairs in a sequence, pairs recalled beyond chance, and the bytes of the state."""

    pairs: int
    recalled: Interval
    state_bytes: int


def recalled_pairs(
    restored: Restored, pairs: Sequence[int], sequences: int = 64
) -> list[Recall]:
    """The pairs recalled for each number of pairs, the mean over test sequences.

    pairs (accuracy - chance) / (1 - chance): exact for a model that guesses all others.
    Raises `BadInput` for a task without pairs, and if the pairs do not fit.
    """
    state_bytes = cost(restored.config).state_bytes
    asked = [_task(restored, count) for count in pairs]
    # One program for all: it has room for the answers of the task with the most.
    most = max((task.spec for task in asked), key=lambda spec: spec.labels)
    draw: Any = jax.jit(evaluation_batch, static_argnums=(0, 3))
    test = np.int32(split_index("test"))
    recalls = []
    for count, task in zip(pairs, asked, strict=True):
        batch = draw(task, test, np.int32(0), sequences, task.arrays())
        accuracy_B = np.asarray(_accuracy(restored, most, batch))
        chance = task.spec.chance or 0.0
        known_B = count * (accuracy_B - chance) / (1 - chance)
        recalls.append(Recall(count, stats.mean_interval(list(known_B)), state_bytes))
    return recalls


@shared(1)
def _accuracy(restored: Restored, spec: Spec, batch: Batch) -> jax.Array:
    return sequence_scores(restored, spec, batch)[1][0]


def fitting_pairs(restored: Restored) -> list[int]:
    """1, 2, 4, ... pairs, up to the most that fit into a sequence of the task."""
    counts = [1]
    _task(restored, 1)
    while True:
        try:
            _task(restored, 2 * counts[-1])
        except BadInput:
            return counts
        counts.append(2 * counts[-1])


def _task(restored: Restored, pairs: int) -> tasks.Task:
    """The task of the model with this number of pairs in a sequence."""
    name, options = parse(restored.config.task)
    if name not in RECALL:
        raise BadInput(
            f"The model was trained on {name}; to count pairs the task must be "
            f"{' or '.join(RECALL)}"
        )
    return tasks.make(spell(name, {**options, "pairs": pairs}))
