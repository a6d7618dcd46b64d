"""What all cells of a study share, and the command that repeats it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from attn_research.analysis.statistics import Row
from attn_research.config import Config, flatten
from attn_research.options import build
from attn_research.options.specs import spell

GROUPS = ("task", "model.", "train.", "init.")
FIRST = ("task", "model.width", "model.layers", "train.steps", "train.batch")


class Setup(NamedTuple):
    """`shared`: the fields that are the same in all cells; `command`: the newest one.

    `members` says what each cell trains, `axes` what differs between cells.
    """

    shared: dict[str, Any]
    axes: dict[str, str]
    members: dict[str, str]
    command: str

    @property
    def brief(self) -> dict[str, Any]:
        """The shared fields that one asks for first."""
        task = {
            name.removeprefix("task."): str(value)
            for name, value in self.shared.items()
            if name.startswith("task.")
        }
        first = {name: self.shared[name] for name in FIRST if name in self.shared}
        return first | ({"task": spell(first["task"], task)} if "task" in first else {})


def setup(described: Mapping[str, Any], rows: Sequence[Row]) -> Setup:
    """The setup of a study: from its rows, before there are any from its base."""
    every = list(rows) or [flatten(build(Config, described["base"], "base"))]
    names = [name for name in every[0] if name.startswith(GROUPS)]
    values = {name: {str(row.get(name)) for row in every} for name in names}
    axes = described["axes"]
    differ = {
        name: ", ".join(map(str, values))
        for name, values in axes.items()
        if len(values) > 1
    }
    return Setup(
        {
            name: every[0][name]
            for name, some in values.items()
            if len(some) == 1 and name not in differ
        },
        differ,
        {
            name: ", ".join(map(str, values))
            for name, values in described["population"].items()
        },
        next(reversed(described["commands"]), ""),
    )
