"""Digits: against the naive form in float64, and at the ends of the number range."""

import jax.numpy as jnp
import numpy as np

from attn_research.testing.laws.case import (
    LENGTH,
    ONES,
    Case,
    inputs,
    pull,
    split,
    twin,
)
from attn_research.testing.laws.measure import FORWARD, close, finite


def law_reference(case: Case) -> None:
    """Outputs and gradients agree with the naive float64 twin."""
    graph, state = split(case)
    # Of bfloat16 each product rounds by 2e-3: three or four in a row stay below 1e-2.
    for dtype, forward, gradient in (
        (jnp.float32, FORWARD, case.gradient),
        (jnp.bfloat16, 1e-2, case.narrow),
    ):
        x_BTD, ct_BTD = (jnp.asarray(a, dtype) for a in inputs())
        got = pull(graph, state, x_BTD, ONES, ct_BTD)
        want = twin(case, (1,) * LENGTH, dtype)
        close(got.y_BTD, want.y_BTD, forward, f"{dtype.__name__} output")
        close(got[1:], want[1:], gradient, f"{dtype.__name__} gradient", case.flat)


def law_finite(case: Case) -> None:
    """Huge, zero and denormal inputs give finite outputs and gradients."""
    graph, state = split(case)
    x_BTD, ct_BTD = inputs()
    for scale in (1e4, 0.0, 1e-40):
        got = pull(graph, state, x_BTD * np.float32(scale), ONES, ct_BTD)
        assert finite(got), f"not finite for inputs of size {scale}"
