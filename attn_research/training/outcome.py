"""The outcome of a population: statuses, the best member, the result."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from attn_research import plugins
from attn_research.config import Config
from attn_research.host import environment
from attn_research.hypers import Hypers, member
from attn_research.tasks.contract import Spec
from attn_research.training import metrics, program
from attn_research.training.placed import Compiled
from attn_research.training.population import DIVERGED, RUNNING, SOLVED

WORDS = {RUNNING: "done", SOLVED: "solved", DIVERGED: "diverged"}
Metrics = dict[str, float]


class Account(NamedTuple):
    """The progress of a run; as a dict, it is part of each checkpoint's facts.

    `seconds` are those since the run began, `advance_seconds` those of training steps;
    `best` and `latest` are the best member and the metrics of all members at the last
    evaluation.
    """

    step: int = 0
    seconds: float = 0.0
    advance_seconds: float = 0.0
    best: int = 0
    latest: Sequence[dict[str, float]] = ()

    def advanced(self, steps: int, seconds: float) -> "Account":
        """The account after `steps` more steps, which took `seconds`."""
        return self._replace(
            step=self.step + steps, advance_seconds=self.advance_seconds + seconds
        )


def facts(config: Config) -> dict[str, Any]:
    """What the bits of a run depend on beside its config, with its mesh of devices.

    Another mesh rounds its sums in another order, as another number of devices does, so
    that it belongs to the environment in which a run goes on.
    """
    known = {**environment.facts(), **plugins.facts(program.plugged(config))}
    return {**known, "mesh": config.train.mesh or "none"}


def each(sums_P: metrics.Sums, count: int) -> list[metrics.Sums]:
    """The sums of each of the first `count` members."""
    return [metrics.Sums(*(leaf[i] for leaf in sums_P)) for i in range(count)]


def judged(
    status_P: np.ndarray, metrics_P: Sequence[Metrics], spec: Spec, stop_at: float
) -> np.ndarray:
    """The statuses; running members whose headline reached `stop_at` are solved.

    `stop_at` 0 is never reached.
    """
    judged_P = status_P.copy()
    for index, values in enumerate(metrics_P):
        value = values[spec.metrics[0]]
        reached = value >= stop_at if spec.goal == "max" else value <= stop_at
        if stop_at and reached and status_P[index] == RUNNING:
            judged_P[index] = SOLVED
    return judged_P


def best(metrics_P: Sequence[Metrics], status_P: np.ndarray, spec: Spec) -> int:
    """The member with the best headline in validation; diverged ones come last."""

    def rank(index: int) -> tuple[bool, float]:
        value = metrics_P[index][spec.metrics[0]]
        signed = -value if spec.goal == "max" else value
        return status_P[index] == DIVERGED, signed if math.isfinite(value) else math.inf

    return min(range(len(metrics_P)), key=rank, default=0)


def summary(status_P: np.ndarray) -> str:
    """`14 running, 1 solved, 1 diverged`."""
    names = {**WORDS, RUNNING: "running"}
    counts = {word: int(np.sum(status_P == code)) for code, word in names.items()}
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count)


def records(
    hypers_P: Hypers,
    status_P: np.ndarray,
    step_P: np.ndarray,
    validation_P: Sequence[Metrics],
    test_P: Sequence[metrics.Sums],
    spec: Spec,
) -> list[dict[str, Any]]:
    """One record per member for the result: numbers, status, metrics, curves."""
    by_distance = partial(
        metrics.curve, names=spec.metrics, target=spec.target, length=spec.length
    )
    rows = []
    for index, total in enumerate(test_P):
        status = int(status_P[index])
        # The shortest decimal of a float32: 0.001, not 0.0010000000474974513.
        numbers = member(hypers_P, index)._asdict().items()
        shortest = {name: type(v.item())(str(v)) for name, v in numbers}
        step = int(step_P[index])
        rows.append(
            {
                "member": index,
                **shortest,
                "status": WORDS[status],
                "step": step,
                "solved_step": step if status == SOLVED else None,
                "validation": validation_P[index],
                "test": metrics.values(total, spec.metrics, spec.target),
                "by_gap": by_distance(total.gap_RJ),
                "by_position": by_distance(total.position_RJ),
                "by_group": metrics.by_group(
                    total.group_RG, spec.metrics, spec.target, spec.groups
                ),
            }
        )
    return rows


def result(
    compiled: Compiled,
    members_P: program.Member,
    account: Account,
    sums_P: metrics.Sums,
    paces: list[float],
) -> dict[str, Any]:
    """The content of result.json; `step_seconds` is the median time of a model step."""
    made, count = compiled.program, len(account.latest)
    spec, cost = made.spec, program.cost(made.config)
    rows = records(
        jax.tree.map(np.asarray, members_P.hypers),
        np.asarray(members_P.status),
        np.asarray(members_P.step),
        account.latest,
        each(sums_P, count),
        spec,
    )
    return {
        "seconds": account.seconds,
        "advance_seconds": account.advance_seconds,
        "compile_seconds": compiled.seconds,
        "steps_per_second": sum(row["step"] for row in rows) / account.seconds,
        "step_seconds": float(np.median(paces[1:] or paces)) if paces else None,
        "parameters": cost.params,
        "state_bytes": cost.state_bytes,
        "flops": cost.flops,
        "peak_bytes": compiled.peak_bytes,
        "environment": facts(made.config),
        "metric": spec.metrics[0],
        "goal": spec.goal,
        "chance": spec.chance,
        "per_sequence": spec.per_sequence,
        "members": rows,
    }


def pace(result: Mapping[str, Any]) -> str:
    """How long a run took, in the units of its result, and its compilation."""
    return (
        f"{result['steps_per_second']:.3g} steps/s of all members for "
        f"{result['seconds']:.0f} s, after {result['compile_seconds']:.0f} s of "
        "compilation."
    )


def all_diverged(members: Sequence[Mapping[str, Any]]) -> bool:
    """Whether every member of a result diverged."""
    return all(row["status"] == WORDS[DIVERGED] for row in members)
