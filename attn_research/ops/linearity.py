"""Ops that are linear in their values: out_t = sum_s M_ts v_s, M made of the rest.

Such an op says so, and its values and its result then carry a name in the trace, by
which `analysis.mixing` finds M in a mixer that it knows nothing about. A name is an
identity that no compiled program holds.
"""

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec

import jax
from jax.ad_checkpoint import checkpoint_name

VALUES, MIXED = "values that an op is linear in", "what it mixes of them"
P = ParamSpec("P")
Op = Callable[P, jax.Array]


def linear_in(values: str) -> Callable[[Op[P]], Op[P]]:
    """Declares that an op is linear in its argument of this name."""

    def declare(op: Op[P]) -> Op[P]:
        signature = inspect.signature(op)

        @functools.wraps(op)
        def declared(*args: P.args, **kwargs: P.kwargs) -> jax.Array:
            bound = signature.bind(*args, **kwargs)
            bound.arguments[values] = checkpoint_name(bound.arguments[values], VALUES)
            return checkpoint_name(op(*bound.args, **bound.kwargs), MIXED)

        return declared

    return declare
