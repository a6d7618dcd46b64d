"""How many pairs a model recalls, beside the bytes of its state.

The model is asked for more and more pairs in sequences of its own task. What a state of
fixed size can recall is bounded by its bytes (Arora et al., 2024, arXiv:2402.18668).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from attn_research import tasks
from attn_research.analysis import statistics as stats
from attn_research.analysis.ablation import sequence_scores
from attn_research.analysis.compiled import shared
from attn_research.analysis.statistics import Interval
from attn_research.checkpoint import Restored
from attn_research.options import BadInput, parse, spell
from attn_research.program import cost, evaluated
from attn_research.tasks.contract import Batch, Spec, split_index

RECALL = ("recall", "mqar")


class Recalled(NamedTuple):
    """Pairs in a sequence, those recalled beyond chance, and the bytes of the state."""

    pairs: int
    recalled: Interval
    state_bytes: int


def recalled(
    restored: Restored, pairs: Sequence[int], sequences: int = 64
) -> list[Recalled]:
    """The number of pairs recalled of each of these, the mean over test sequences.

    pairs (accuracy - chance) / (1 - chance): what one recalls who else guesses. Raises
    `BadInput` for a task of other things, and where the pairs do not fit.
    """
    state_bytes = cost(restored.config).state_bytes
    asking = [_asking(restored, count) for count in pairs]
    # One program for all: it looks for answers at as many places as any task has.
    most = max((task.spec for task in asking), key=lambda spec: spec.labels)
    draw: Any = jax.jit(evaluated, static_argnums=(0, 3))
    test = np.int32(split_index("test"))
    found = []
    for count, task in zip(pairs, asking, strict=True):
        batch = draw(task, test, np.int32(0), sequences, task.arrays())
        accuracy_B = np.asarray(_accuracy(restored, most, batch))
        chance = task.spec.chance or 0.0
        known_B = count * (accuracy_B - chance) / (1 - chance)
        found.append(Recalled(count, stats.bootstrap(list(known_B)), state_bytes))
    return found


@shared(1)
def _accuracy(restored: Restored, spec: Spec, batch: Batch) -> jax.Array:
    return sequence_scores(restored, spec, batch)[1][0]


def fitting(restored: Restored) -> list[int]:
    """1, 2, 4, ... pairs, as long as a sequence of the task has room for them."""
    found = [1]
    _asking(restored, 1)
    while True:
        try:
            _asking(restored, 2 * found[-1])
        except BadInput:
            return found
        found.append(2 * found[-1])


def _asking(restored: Restored, pairs: int) -> tasks.Task:
    """The task of the model with so many pairs in a sequence."""
    name, options = parse(restored.config.task)
    if name not in RECALL:
        raise BadInput(
            f"The model was trained on {name}; pairs are counted for "
            f"{' and '.join(RECALL)}"
        )
    return tasks.make(spell(name, {**options, "pairs": pairs}))
