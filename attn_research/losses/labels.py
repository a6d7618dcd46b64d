"""Labels that a loss can read: what stands in for those that do not exist.

A value that is known is refused; inside a compiled program, which cannot raise, it is
marked, so that its loss becomes NaN.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from attn_research.options import BadInput


def existing(
    targets: Any, classes: int, weights: Any = None
) -> tuple[jax.Array, jax.Array]:
    """The targets, with 0 for those outside the classes, and which of these count.

    `weights` may lack the last axes of the targets; all count without them. Raises
    BadInput for a target that counts and is outside where its value is known, not
    traced, and for targets that are no whole numbers.
    """
    targets = _whole(targets)
    outside = (targets < 0) | (targets >= classes)
    wrong = outside & _counting(weights, targets.ndim)
    if _says(wrong):
        first = np.asarray(targets)[np.asarray(wrong)][0]
        raise BadInput(
            f"The targets hold {first}; they must be from 0 to {classes - 1}, the "
            "classes that the model tells apart"
        )
    safe = jnp.where(jnp.asarray(outside), 0, jnp.asarray(targets).astype(jnp.int32))
    return safe, jnp.asarray(wrong)


def _whole(targets: Any) -> Any:
    """The targets, in 32 bits or more; raises BadInput if they are no whole numbers."""
    if not isinstance(targets, jax.Array):
        targets = np.asarray(targets)
    if not jnp.issubdtype(targets.dtype, jnp.integer):
        raise BadInput(f"The targets are {targets.dtype}; they must be whole numbers")
    return targets.astype(np.int32) if targets.dtype.itemsize < 4 else targets


def _counting(weights: Any, axes: int) -> Any:
    """Which targets of this many axes have a weight."""
    if weights is None:
        return np.True_
    return (weights != 0).reshape(weights.shape + (1,) * (axes - weights.ndim))


def _says(wrong: Any) -> bool:
    """Whether a value is true, as far as values are known: traced ones are not."""
    return not isinstance(wrong, Tracer) and bool(np.any(wrong))


def within(span_B2, real_BT, weights_B):
    """The spans, the first real position for those not there, and which count."""
    span_B2 = _whole(span_B2)
    outside_B2 = (span_B2 < 0) | (span_B2 >= real_BT.shape[1])
    safe_B2 = jnp.where(
        jnp.asarray(outside_B2), 0, jnp.asarray(span_B2).astype(jnp.int32)
    )
    lost_B2 = outside_B2 | ~jnp.take_along_axis(real_BT, safe_B2, axis=1)
    lost_B = jnp.any(lost_B2, axis=1) | (safe_B2[:, 1] < safe_B2[:, 0])
    wrong_B = lost_B & _counting(weights_B, 1)
    if _says(wrong_B):
        row = int(np.argmax(wrong_B))
        first, last = np.asarray(span_B2)[row].tolist()
        raise BadInput(
            f"The span of row {row} is {first} to {last}; its ends must be in order, "
            f"at real positions among the {real_BT.shape[1]} of the row"
        )
    first_B1 = jnp.argmax(real_BT, axis=1, keepdims=True)
    return jnp.where(lost_B[:, None], first_B1, safe_B2), wrong_B
