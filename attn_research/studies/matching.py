"""Fair comparisons: two models of the same number of parameters, FLOPs or state bytes.

    fair = match(config, target="params", like=other)

picks the width of `config` so that its cost is within 2 % of that of `other`. If the
heads make the possible widths too coarse, it also picks the hidden width of the MLP.
"""

import dataclasses
import functools
from collections.abc import Callable
from functools import partial
from typing import Literal

from attn_research.config import Config, edit
from attn_research.modules import pattern
from attn_research.modules.contract import Cost
from attn_research.options import BadInput, unknown
from attn_research.training import program

TOLERANCE = 0.02
LARGEST = 65_536
HIDDEN = "model.mlp_ratio"  # given as the hidden width
APART = 256  # values that can be built are at most this far apart
Target = Literal["params", "flops", "state_bytes"]


def match(
    config: Config,
    *,
    target: Target,
    like: Config,
    by: str = "model.width",
    tolerance: float = TOLERANCE,
) -> Config:
    """`config` with the integer `by` whose cost is nearest to that of `like`.

    `by` is a field of the config (`model.width`) or an option of a mixer in its pattern
    (`diagonal.state`, `window.window`). Values that cannot be built, such as a width
    that the heads do not divide, are skipped. Raises `BadInput` if no value is within
    `tolerance`.
    """
    if target not in Cost._fields:
        raise unknown("target", target, Cost._fields)
    pattern.resolve(_changed(config, by, 1).model.pattern)  # raises if `by` is unknown
    wanted = getattr(program.cost(like), target)
    nearest = _nearest(partial(_cost, config, target, by), wanted)
    if nearest is None:
        program.cost(_changed(config, by, 1))  # raises with the reason
        raise BadInput(f"No {by} up to {LARGEST} gives {target} of {wanted}")
    value, cost = nearest
    near = _changed(config, by, value)
    if abs(cost - wanted) > tolerance * wanted and by == "model.width":
        # The MLP makes up the difference between two widths that the heads divide.
        hidden = _nearest(partial(_cost, near, target, HIDDEN), wanted)
        if hidden is not None:
            cost, near = hidden[1], _changed(near, HIDDEN, hidden[0])
    if abs(cost - wanted) > tolerance * wanted:
        raise BadInput(
            f"No {by} brings {target} within {tolerance:.0%} of {wanted}; the nearest, "
            f"{value}, gives {cost}"
        )
    return near


def _nearest(cost: Callable[[int], int | None], wanted: int) -> tuple[int, int] | None:
    """The value whose cost is nearest to `wanted`, and that cost, which must grow."""
    cost = functools.cache(cost)
    low, high = 0, _next(cost, 1, +1)
    while high and _at(cost, high) < wanted:
        low, high = high, _next(cost, 2 * high, +1)
    if not high:
        return None
    while (middle := _next(cost, (low + high) // 2, -1)) > low:
        if _at(cost, middle) < wanted:
            low = middle
        else:
            high = middle
    # Values between the last two that bisection met may not have been tried.
    after = _next(cost, low + 1, +1)
    tried = [value for value in (low, after, high) if value]
    best = min(tried, key=lambda value: abs(_at(cost, value) - wanted))
    return best, _at(cost, best)


def _next(cost: Callable[[int], int | None], value: int, step: int) -> int:
    """The first value from `value` on, in steps, that can be built; 0 if none can."""
    for tried in range(value, value + step * APART, step):
        if 0 < tried <= LARGEST and cost(tried) is not None:
            return tried
    return 0


def _at(cost: Callable[[int], int | None], value: int) -> int:
    known = cost(value)
    assert known is not None
    return known


def _cost(config: Config, target: str, by: str, value: int) -> int | None:
    """The cost with `by` at a value; None if that cannot be built."""
    try:
        return getattr(program.cost(_changed(config, by, value)), target)
    except BadInput:
        return None


def _changed(config: Config, by: str, value: float) -> Config:
    name, _, option = by.partition(".")
    if by == HIDDEN:
        value = value / config.model.width
    if name in {field.name for field in dataclasses.fields(config)}:
        return edit(config, {by: value})
    edited = pattern.edit(config.model.pattern, name, {option: str(value)})
    return edit(config, {"model.pattern": edited})
