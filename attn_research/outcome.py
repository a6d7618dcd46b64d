"""What a population's state and sums say: statuses, the best member, the result."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from attn_research import evaluate
from attn_research.hypers import Hypers, member
from attn_research.population import DIVERGED, RUNNING, SOLVED
from attn_research.tasks.contract import Spec

WORDS = {RUNNING: "done", SOLVED: "solved", DIVERGED: "diverged"}
Metrics = dict[str, float]


def each(sums_P: evaluate.Sums, count: int) -> list[evaluate.Sums]:
    """The sums of each of the first `count` members."""
    return [evaluate.Sums(*(leaf[i] for leaf in sums_P)) for i in range(count)]


def judged(
    status_P: np.ndarray, metrics_P: Sequence[Metrics], spec: Spec, stop_at: float
) -> np.ndarray:
    """The statuses, members solved whose headline has reached `stop_at` (0: never)."""
    judged_P = status_P.copy()
    for index, metrics in enumerate(metrics_P):
        value = metrics[spec.metrics[0]]
        reached = value >= stop_at if spec.goal == "max" else value <= stop_at
        if stop_at and reached and status_P[index] == RUNNING:
            judged_P[index] = SOLVED
    return judged_P


def best(metrics_P: Sequence[Metrics], status_P: np.ndarray, spec: Spec) -> int:
    """The member with the best headline in validation, a diverged one only if all."""

    def rank(index: int) -> tuple[bool, float]:
        value = metrics_P[index][spec.metrics[0]]
        signed = -value if spec.goal == "max" else value
        return status_P[index] == DIVERGED, signed if math.isfinite(value) else math.inf

    return min(range(len(metrics_P)), key=rank, default=0)


def told(status_P: np.ndarray) -> str:
    """`14 running, 1 solved, 1 diverged`."""
    names = {**WORDS, RUNNING: "running"}
    counts = {word: int(np.sum(status_P == code)) for code, word in names.items()}
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count)


def records(
    hypers_P: Hypers,
    status_P: np.ndarray,
    step_P: np.ndarray,
    validation_P: Sequence[Metrics],
    test_P: Sequence[evaluate.Sums],
    spec: Spec,
) -> list[dict[str, Any]]:
    """One record per member for the result: numbers, status, metrics, curves."""
    by_distance = partial(
        evaluate.curve, names=spec.metrics, target=spec.target, length=spec.length
    )
    rows = []
    for index, total in enumerate(test_P):
        status = int(status_P[index])
        # The shortest decimal of a float32: 0.001, not 0.0010000000474974513.
        numbers = member(hypers_P, index)._asdict().items()
        own = {name: type(v.item())(str(v)) for name, v in numbers}
        step = int(step_P[index])
        rows.append(
            {
                "member": index,
                **own,
                "status": WORDS[status],
                "step": step,
                "solved_step": step if status == SOLVED else None,
                "validation": validation_P[index],
                "test": evaluate.metrics(total, spec.metrics, spec.target),
                "by_gap": by_distance(total.gap_RJ),
                "by_position": by_distance(total.position_RJ),
                "by_group": evaluate.by_group(
                    total.group_RG, spec.metrics, spec.target, spec.groups
                ),
            }
        )
    return rows


def all_diverged(members: Sequence[Mapping[str, Any]]) -> bool:
    """Whether no member of a result was trained to its end."""
    return all(row["status"] == WORDS[DIVERGED] for row in members)
