"""Options drawn from a mixer's own table, and what must hold of any that build."""

import dataclasses
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from attn_research.modules.contract import carry_bytes, parameters
from attn_research.options import BadInput
from attn_research.testing.laws.case import (
    BATCH,
    LENGTH,
    WIDTH,
    Case,
    compiled,
    draw,
    split,
)
from attn_research.testing.laws.forms import decode
from attn_research.testing.laws.measure import error

# Results that differ in the order of their sums only, in float32.
ORDER = 1e-4
# A whole number is drawn from this many, from its lower bound on.
FEW = 5


def values(table: Any) -> dict[str, tuple[Any, ...]]:
    """Each option of a table and what is drawn of it, the default first."""
    hints = typing.get_type_hints(table)
    return {
        field.name: (
            field.default,
            *_values(hints[field.name], field.default, field.metadata),
        )
        for field in dataclasses.fields(table)
    }


def _values(
    kind: Any, default: Any, bounds: typing.Mapping[str, Any]
) -> tuple[Any, ...]:
    if isinstance(kind, types.UnionType):
        inner = [one for one in typing.get_args(kind) if one is not types.NoneType]
        return _values(inner[0], default, bounds)
    if typing.get_origin(kind) is typing.Literal:
        return typing.get_args(kind)
    if kind is bool:
        return (False, True)
    if kind is int:
        low = int(bounds.get("low") or 0)
        high = bounds.get("high") or low + FEW
        return tuple(range(low, min(int(high), low + FEW) + 1))
    return ()


def draws(
    table: Any, count: int, fits: Callable[[Any], bool] = lambda options: True
) -> Iterator[Any]:
    """`count` instances of a table of options, the same in every call.

    Half of the options of each stay at their defaults. Options that do not fit together
    are not drawn; a table of few options may give fewer.
    """
    others = {
        name: [value for value in choice if value != choice[0]]
        for name, choice in values(table).items()
    }
    source, drawn = np.random.default_rng(0), set()
    for _ in range(20 * count):
        given = {
            name: choice[source.integers(len(choice))]
            for name, choice in others.items()
            if choice and source.random() < 0.5
        }
        try:
            made = table(**given)
        except BadInput:
            continue
        if made not in drawn and fits(made):
            drawn.add(made)
            yield made
        if len(drawn) == count:
            return


def law_drawn(case: Case) -> None:
    """What holds of a mixer holds of it with these options.

    A sequence gives the same wherever it stands, and token by token; padding may hold
    anything and gives zeros; the parameters and the carry have the size it tells.
    Raises `BadInput` for options that do not fit together.
    """
    if getattr(case.options, "packed", 4) < 4:  # more sequences give NaN, as it says
        raise BadInput("packed is below 4; it must be at least the sequences of a row")
    mixer = case.build()
    graph, state = split(case)
    call = compiled(lambda s, x, ids: nnx.merge(graph, s)(x, ids))
    x_BTD, segments_BT = np.full((BATCH, LENGTH, WIDTH), np.nan), [0] * LENGTH
    x_BSD = draw(1, BATCH, 4, WIDTH)
    offsets = (0, 4, 9, 13)
    for offset, number in zip(offsets, (5, 2**20, 1, 3), strict=True):
        x_BTD[:, offset : offset + 4] = x_BSD
        segments_BT[offset : offset + 4] = [number] * 4
    ids_BT = jnp.asarray([segments_BT] * BATCH, jnp.int32)
    y_BTD = np.asarray(call(state, jnp.asarray(x_BTD, jnp.float32), ids_BT))
    whole_BTD = draw(2, BATCH, LENGTH, WIDTH)
    ones_BT = jnp.ones((BATCH, LENGTH), jnp.int32)
    parallel_BTD = call(state, whole_BTD, ones_BT)
    for offset in offsets:
        off = error(y_BTD[:, offset : offset + 4], y_BTD[:, :4])
        assert off <= ORDER, f"the sequence at {offset} is off by {off:.1e}"
    assert not y_BTD[:, np.array(segments_BT) == 0].any(), "padding has an output"
    cost = mixer.cost(LENGTH)
    assert cost.params == parameters(mixer), f"params {cost.params}"
    if case.causal:
        try:
            stepped_BTD = decode(graph, state, whole_BTD)
        except BadInput as refusal:
            raise AssertionError(f"it does not decode: {refusal}") from None
        off = error(stepped_BTD, parallel_BTD)
        assert off <= ORDER, f"token by token it is off by {off:.1e}"
        carry = jax.eval_shape(lambda: mixer.start(1, LENGTH))
        assert cost.state_bytes == carry_bytes(carry), f"state {cost.state_bytes}"
