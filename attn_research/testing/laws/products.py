"""The multiply-adds of a traced program: matrix products, loops and transforms."""

import math
from typing import Any

import jax

from attn_research.testing.laws.steps import inside


def flops(jaxpr: Any) -> float:
    """Two for each multiply-add of a jaxpr; elementwise operations count nothing.

    Nor do sums of logarithms, which are written as products of highest precision. XLA's
    own count takes the body of a loop once, so that loops are followed here.
    """
    total = 0.0
    for equation in jaxpr.eqns:
        name, params = equation.primitive.name, equation.params
        inner = [flops(one) for one in inside(params)]
        match name:
            case "dot_general":
                sums = params["precision"] == (jax.lax.Precision.HIGHEST,) * 2
                total += 0 if sums else 2 * _products(equation)
            case "conv_general_dilated":
                out, kernel = equation.outvars[0].aval, equation.invars[1].aval
                spec = params["dimension_numbers"].rhs_spec
                total += 2 * out.size * kernel.size / kernel.shape[spec[0]]
            case "fft":
                shape, lengths = equation.invars[0].aval.shape, params["fft_lengths"]
                points = math.prod(shape)
                total += 5 * points * math.log2(max(2, math.prod(lengths)))
            case "scan":
                total += params["length"] * sum(inner)
            case "cond":
                total += max(inner)
            case _:
                total += sum(inner)
    return total


def _products(equation: Any) -> int:
    (contracted, _), _ = equation.params["dimension_numbers"]
    shape = equation.invars[0].aval.shape
    return equation.outvars[0].aval.size * math.prod(shape[i] for i in contracted)
