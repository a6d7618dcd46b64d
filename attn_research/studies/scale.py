"""One dial for the size of a model and of its training: `--scale=tiny`.

Each scale doubles the width, the layers, the heads, the batch and the steps of the one
below, and divides the learning rate by the square root of two:

    scale   width   layers   heads   batch    steps   learning rate
    nano       64        2       2      64      500   0.002
    tiny      128        4       4     128    1,000   0.00141
    small     256        8       8     256    2,000   0.001
    base      512       16      16     512    4,000   0.000707

So a head has 32 channels, the parameters of the layers grow eightfold from scale to
scale and the sequences seen fourfold. A flag or an axis that names one of these fields
goes before the scale; the heads are those of mixers that have several by default.

The smallest scale is measured on recall of 4 pairs among 32 tokens, at rates from
0.00075 to 0.0045 and seeds 0 to 3. In batches of 64, dense attention solves it within
500 steps at each of four rates for the same three seeds, and a window of 8 recalls all
that it sees at 0.0015 and at 0.003 for each of three; in batches of 32 two seeds of
dense attention fail from 0.003 on, and one window of three at 0.0015. Seed 3 of dense
attention stays at an accuracy of a half at any of these rates, in 1,000 steps as well.
"""

import dataclasses
import math
from collections.abc import Container, Sequence
from typing import NamedTuple

from attn_research.config import Config, Population, edit
from attn_research.options import unknown
from attn_research.studies.study import Row, Study, variant

NAMES = ("nano", "tiny", "small", "base")


class Scale(NamedTuple):
    """What a scale sets: `heads` in the mixers, the rest by the names of the fields."""

    width: int
    layers: int
    heads: int
    batch: int
    steps: int
    lr: float

    @property
    def fields(self) -> dict[str, int]:
        """The fields of a `Config` by their dotted names."""
        return {
            "model.width": self.width,
            "model.layers": self.layers,
            "train.batch": self.batch,
            "train.steps": self.steps,
        }


def scale(name: str) -> Scale:
    """The scale of that name; raises `BadInput`."""
    if name not in NAMES:
        raise unknown("scale", name, NAMES)
    times = 2 ** NAMES.index(name)
    rate = float(f"{2e-3 / math.sqrt(times):.3g}")
    return Scale(64 * times, 2 * times, 2 * times, 64 * times, 500 * times, rate)


def config(one: Config, size: Scale, given: Container[str] = ()) -> Config:
    """The config at a scale, but for the fields that are `given`."""
    fields: dict[str, int | str] = {
        name: value for name, value in size.fields.items() if name not in given
    }
    for name in ("model.pattern", "model.stem"):
        pattern = getattr(one.model, name.removeprefix("model."))
        if pattern is not None:
            fields[name] = headed(pattern, size.heads)
    return edit(one, fields)


def population(one: Population, size: Scale, given: Container[str] = ()) -> Population:
    """The population at a scale, unless its learning rates are `given`."""
    return one if "lr" in given else dataclasses.replace(one, lr=(size.lr,))


def study(one: Study, size: Scale, given: Container[str] = ()) -> Study:
    """The study at a scale; its own axes and what is `given` go before it."""
    kept = [name for name in size.fields if name in one.axes or name in given]
    axes = {
        name: [headed(value, size.heads) if value else value for value in values]
        if name in ("model.pattern", "model.stem")
        else values
        for name, values in one.axes.items()
    }
    return variant(
        dataclasses.replace(one, base=config(one.base, size, kept)),
        axes=axes,
        population=population(one.population, size, given),
    )


def headed(pattern: str, heads: int) -> str:
    """The pattern with the heads of mixers that have several and give no number."""
    from attn_research.modules import pattern as patterns

    return patterns.fill(pattern, "heads", heads, lambda default: default > 1)


def as_named(one: Study, rows: Sequence[Row]) -> list[Row]:
    """The rows with each mixer as the study names it, whatever scale it was run at.

    A scale fills in the heads, and the expectations of a study know its own names.
    """
    own = one.axes.get("model.pattern", (one.base.model.pattern,))
    filled = {
        _brief(headed(pattern, scale(name).heads)): _brief(pattern)
        for name in NAMES
        for pattern in own
    }
    names = filled | {_brief(pattern): _brief(pattern) for pattern in own}
    return [{**row, "mixer": names.get(row["mixer"], row["mixer"])} for row in rows]


def _brief(pattern: str) -> str:
    from attn_research.modules import pattern as patterns

    return patterns.brief(pattern)


def sentence(name: str, size: Scale) -> str:
    """What a scale sets, as it is said before a run."""
    return (
        f"--scale={name}: width {size.width}, {size.layers} layers, {size.heads} heads "
        f"of mixers that have several, batches of {size.batch}, {size.steps:,} steps, "
        f"learning rate {size.lr:g}; flags and axes go before it."
    )
