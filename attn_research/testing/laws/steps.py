"""The steps that a traced program makes one after another."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.extend


def sequential(jaxpr: Any) -> int:
    """Innermost steps of all loops of a jaxpr; a program without a loop has none.

    Nested trip counts multiply. A loop whose end is data counts once: in attention the
    key blocks that a sparse mask admits to a block of queries. The grid of a kernel is
    one step.
    """
    total = 0
    for equation in jaxpr.eqns:
        name, params = equation.primitive.name, equation.params
        if name == "pallas_call":
            continue
        inner = [sequential(one) for one in inside(params)]
        match name:
            case "scan":
                total += params["length"] * max(1, sum(inner))
            case "while":
                total += max(1, sum(inner))
            case "cond":
                total += max(inner)
            case _:
                total += sum(inner)
    return total


def inside(params: dict[str, Any]) -> Iterator[Any]:
    """The jaxprs among the parameters of an equation."""
    for value in params.values():
        for one in value if isinstance(value, tuple | list) else (value,):
            if isinstance(one, jax.extend.core.ClosedJaxpr):
                yield one.jaxpr
            elif isinstance(one, jax.extend.core.Jaxpr):
                yield one
