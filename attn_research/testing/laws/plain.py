"""What every function of arrays owes: shape, dtype, the same compiled, rows apart."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from attn_research.testing.laws.case import (
    BATCH,
    LENGTH,
    ONES,
    WIDTH,
    Case,
    draw,
    inputs,
    pull,
    split,
)
from attn_research.testing.laws.measure import FORWARD, close


def law_shape(case: Case) -> None:
    """Shape and dtype are kept."""
    mixer = nnx.merge(*split(case))
    # Every two of type, size and segments meet.
    for dtype, (batch, time), segmented in (
        (jnp.float32, (BATCH, LENGTH), True),
        (jnp.float32, (1, 1), False),
        (jnp.bfloat16, (BATCH, LENGTH), False),
        (jnp.bfloat16, (1, 1), True),
    ):
        x_BTD = jax.ShapeDtypeStruct((batch, time, WIDTH), dtype)
        segments_BT = jnp.ones((batch, time), jnp.int32) if segmented else None
        y_BTD = jax.eval_shape(mixer, x_BTD, segments_BT)
        assert y_BTD.shape == x_BTD.shape, f"{x_BTD.shape} became {y_BTD.shape}"
        assert y_BTD.dtype == dtype, f"{dtype.__name__} became {y_BTD.dtype}"


def law_jit(case: Case) -> None:
    """The compiled mixer gives what the eager one gives."""
    graph, state = split(case)
    x_BTD, ct_BTD = inputs()
    eager = nnx.merge(graph, state)(jnp.asarray(x_BTD), jnp.asarray(ONES))
    close(pull(graph, state, x_BTD, ONES, ct_BTD).y_BTD, eager, FORWARD, "jit")


def law_rows(case: Case) -> None:
    """A row of the batch does not see another row."""
    graph, state = split(case)
    x_BTD, ct_BTD = inputs()
    other_BTD = x_BTD.copy()
    other_BTD[1:] = draw(3, BATCH - 1, LENGTH, WIDTH)
    one, two = (pull(graph, state, x, ONES, ct_BTD) for x in (x_BTD, other_BTD))
    np.testing.assert_array_equal(one.y_BTD[0], two.y_BTD[0], "row 0 saw another")
    np.testing.assert_array_equal(one.x_BTD[0], two.x_BTD[0], "its gradient did")
