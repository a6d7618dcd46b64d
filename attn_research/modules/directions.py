"""Both directions for a mixer that runs in the order of time."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from attn_research.options import BadInput

Sequence = Callable[[jax.Array, jax.Array | None], jax.Array]


def backward(cls: Any, options: Any, *, causal: bool, **sizes: Any) -> Any:
    """A second causal mixer of the class, to run from the end; None if causal."""
    return None if causal else cls(options, causal=True, **sizes)


def passes(causal: bool) -> int:
    """How often a mixer runs over its sequence: twice if it has both directions."""
    return 1 if causal else 2


def both_directions(
    forward: Sequence,
    backward: Sequence | None,
    x_BTD: jax.Array,
    segments_BT: jax.Array | None,
) -> jax.Array:
    """forward(x) + reversed(backward(reversed(x))); None runs forward only.

    Both see the token itself. Each direction ends in an output projection of its own,
    so the sum equals the usual concatenation of both followed by one projection.
    """
    y_BTD = forward(x_BTD, segments_BT)
    if backward is None:
        return y_BTD
    x_BTD = jnp.flip(x_BTD, axis=1)
    segments_BT = None if segments_BT is None else jnp.flip(segments_BT, axis=1)
    return y_BTD + jnp.flip(backward(x_BTD, segments_BT), axis=1)


def without_padding(x_BTD: jax.Array, segments_BT: jax.Array | None) -> jax.Array:
    """x with zeros at padding (segment 0), even in place of NaN."""
    if segments_BT is None:
        return x_BTD
    return jnp.where((segments_BT != 0)[..., None], x_BTD, 0)


def refuse_decoding(mixer: str, causal: bool) -> None:
    """Raises BadInput if a mixer that sees the future is asked to decode."""
    if not causal:
        raise BadInput(
            f"{mixer} cannot decode token by token: it was built with causal=False, "
            "which must be True"
        )
