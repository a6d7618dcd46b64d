"""What a mixer built to run in time order does when it need not be causal."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from attn_research.options import BadInput

Sequence = Callable[[jax.Array, jax.Array | None], jax.Array]


def both_directions(
    forward: Sequence,
    backward: Sequence | None,
    x_BTD: jax.Array,
    segments_BT: jax.Array | None,
) -> jax.Array:
    """forward(x) + reversed(backward(reversed(x))); None runs forward alone.

    Both see the token itself. Each direction ends in an output projection of its own,
    so the sum is the usual concatenation of both followed by one projection.
    """
    y_BTD = forward(x_BTD, segments_BT)
    if backward is None:
        return y_BTD
    x_BTD = jnp.flip(x_BTD, axis=1)
    segments_BT = None if segments_BT is None else jnp.flip(segments_BT, axis=1)
    return y_BTD + jnp.flip(backward(x_BTD, segments_BT), axis=1)


def without_padding(x_BTD: jax.Array, segments_BT: jax.Array | None) -> jax.Array:
    """x with zeros at padding (segment 0), whatever it held, NaN included."""
    if segments_BT is None:
        return x_BTD
    return jnp.where((segments_BT != 0)[..., None], x_BTD, 0)


def refuse_decoding(mixer: str, causal: bool) -> None:
    """Raises BadInput where a mixer that sees the future is asked to decode."""
    if not causal:
        raise BadInput(
            f"{mixer} was built with causal=False, which cannot decode token by token; "
            "build it with causal=True"
        )
