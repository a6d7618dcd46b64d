"""A finished cell trained once more, to see whether its numbers come out again."""

import math
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from attn_research.host import environment, layout
from attn_research.launch.command import cell_command, more
from attn_research.options import BadInput
from attn_research.studies.readers import place, read_cell

SAME = (
    *("status", "step", "solved_step", "validation", "test"),
    *("by_gap", "by_position", "by_group"),
)


class Again(NamedTuple):
    """What differs between a cell and its repetition, and between their environments.

    Both are empty if the numbers have the same bits under the same code and hardware.
    """

    cell: str
    numbers: list[str]
    environment: list[str]

    @property
    def sentence(self) -> str:
        """`cell 2f2e: the same bits`, or the first number that differs."""
        said = "the same bits"
        if self.numbers:
            said, *others = self.numbers
            said += f", and {len(others)} more" if others else ""
        if self.environment:
            said += f" (in another environment: {'; '.join(self.environment)})"
        return f"cell {self.cell}: {said}"


def cheapest(directory: str | os.PathLike[str], ids: Iterable[str]) -> str:
    """The finished cell that took the least time; raises `BadInput` if none has."""
    seconds = {}
    for id in ids:
        result = layout.read_result(place(directory, id))
        if result is not None:
            seconds[id] = float(result["seconds"])
    if not seconds:
        raise BadInput(f"{directory} has no finished cell; one must be, to be repeated")
    return min(seconds, key=lambda id: seconds[id])


def again(directory: str | os.PathLike[str], id: str) -> Again:
    """Trains a finished cell once more, in a temporary directory and as many threads.

    Raises `BadInput` if it fails.
    """
    folder = place(directory, id)
    run, before = read_cell(directory, id), layout.read_result(folder)
    assert before is not None, "it is finished"
    scratch = Path(tempfile.mkdtemp(prefix="again-"))
    try:
        shutil.copy(folder / layout.CONFIG, scratch / layout.CONFIG)
        told = {name: before["environment"][name] for name in environment.VARIABLES}
        given = {**os.environ, **{name: value for name, value in told.items() if value}}
        ended = subprocess.run(
            cell_command(more())(scratch), env=given, capture_output=True, text=True
        )
        after = layout.read_result(scratch)
        if ended.returncode or after is None:
            last = (ended.stderr.strip() or ended.stdout.strip()).splitlines()[-1:]
            raise BadInput(f"Cell {run.id} does not train again: {''.join(last)}")
        apart = environment.difference(before["environment"], after["environment"])
        return Again(id, list(_differences(before, after)), apart)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """A phrase for each number of the members that is not the same."""
    for old, new in zip(before["members"], after["members"], strict=True):
        for name in SAME:
            where = f"{name} of member {old['member']}"
            yield from _apart(where, old.get(name), new.get(name))


def _apart(name: str, old: Any, new: Any) -> Iterator[str]:
    """A phrase for each leaf of two nested values that is not the same."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            yield from _apart(f"{key} in {name}", old.get(key), new.get(key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for place, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _apart(f"number {place} of {name}", one, other)
    elif old != new and not (_nan(old) and _nan(new)):
        yield f"{name} was {old} and is {new}"


def _nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
