"""Whether a member has stopped learning: what the last quarter of its steps gave."""

from collections.abc import Iterable, Mapping
from typing import Any

Record = dict[str, Any]

LAST = 0.25  # of the steps
STILL = 0.02  # more than this is still learning, and this near a ceiling is solved


def ends(records: Iterable[Record], steps: Mapping[int, int]) -> list[Record]:
    """Of each member the last evaluation before its last quarter, and the last of all.

    `steps` has the number of steps that each member trained for.
    """
    early: dict[int, Record] = {}
    last: dict[int, Record] = {}
    for record in records:
        member = record.get("member")
        if not isinstance(member, int):
            continue
        last[member] = record
        if record.get("step", 0) <= (1 - LAST) * steps.get(member, 0):
            early[member] = record
    return [*early.values(), *last.values()]


def gain(
    records: Iterable[Record], metric: str, goal: str, chance: float | None
) -> float | None:
    """What one member's headline gained between its first record and its last.

    In units of the room between chance and certainty, or of its first value if there is
    no level of chance; None without two evaluations.
    """
    kept = [record for record in records if metric in record]
    if len({record.get("step") for record in kept}) < 2:
        return None
    early, late = float(kept[0][metric]), float(kept[-1][metric])
    risen = late - early if goal == "max" else early - late
    room = abs(early) if chance is None or goal == "min" else 1 - chance
    return risen / room if room else None


def solved(value: float, goal: str, chance: float | None) -> bool:
    """Whether a headline is at its ceiling, so that nothing is left to learn."""
    if chance is None or goal == "min" or chance >= 1:
        return False
    return (1 - value) / (1 - chance) <= STILL
