"""Losses, metrics, and their sums over a split, by gap and by position.

Sums are kept, not means, so that any batches add up to the exact mean over a split.
Distances are binned by powers of two: bin 0 holds 0, bin i holds 2^(i-1) to 2^i - 1;
the last bin holds the unknown (-1).
"""

import math
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax


class Sums(NamedTuple):
    """Weighted sums over predictions: in all, and in bins J of gap and position."""

    weight: jax.Array
    loss: jax.Array
    correct: jax.Array
    gap_3J: jax.Array
    position_3J: jax.Array


def nothing(length: int) -> Sums:
    """The sums of no predictions."""
    zero, zero_3J = jnp.zeros(()), jnp.zeros((3, bins(length)))
    return Sums(zero, zero, zero, zero_3J, zero_3J)


def bins(length: int) -> int:
    """The number of bins for distances below `length`, the unknown one included."""
    return max(length - 1, 1).bit_length() + 2


def edges(length: int) -> list[tuple[int, int]]:
    """The lowest and highest distance of each bin but the unknown."""
    known = bins(length) - 1
    return [(0, 0), *((1 << i, (2 << i) - 1) for i in range(known - 1))]


def losses(
    outputs: jax.Array, targets: jax.Array, target: Literal["token", "value", "class"]
) -> tuple[jax.Array, jax.Array]:
    """Loss and correctness of each prediction.

    Cross-entropy in nats and argmax for tokens and classes; squared error and 0 for
    values, whose outputs have one channel.
    """
    if target == "value":
        error = outputs[..., 0] - targets
        return error * error, jnp.zeros_like(error)
    loss = optax.softmax_cross_entropy_with_integer_labels(outputs, targets)
    return loss, (jnp.argmax(outputs, axis=-1) == targets).astype(jnp.float32)


def mean(loss: jax.Array, weights: jax.Array) -> jax.Array:
    """The weighted mean, 0 where no weight is."""
    return jnp.sum(loss * weights) / jnp.maximum(jnp.sum(weights), 1e-9)


def sums(
    loss: jax.Array,
    correct: jax.Array,
    weights: jax.Array,
    gap: jax.Array,
    position: jax.Array,
    length: int,
) -> Sums:
    """The sums of one batch; all arrays have the shape of the predictions."""
    stacked_3 = jnp.stack([weights, loss * weights, correct * weights]).reshape(3, -1)
    count = bins(length)

    def binned(distance: jax.Array) -> jax.Array:
        log = 32 - jax.lax.clz(jnp.maximum(distance, 0).astype(jnp.int32))
        slot = jnp.where(distance < 0, count - 1, jnp.minimum(log, count - 2))
        onto = jax.nn.one_hot(slot.reshape(-1), count, dtype=jnp.float32)
        return stacked_3 @ onto

    total_3 = jnp.sum(stacked_3, axis=1)
    return Sums(total_3[0], total_3[1], total_3[2], binned(gap), binned(position))


def metrics(total: Sums, names: tuple[str, ...]) -> dict[str, float]:
    """The named metrics of one member as plain numbers; NaN where nothing counts."""
    weight = float(total.weight)
    loss = float(total.loss) / weight if weight else math.nan
    correct = float(total.correct) / weight if weight else math.nan
    known = {
        "loss": loss,
        "mse": loss,
        "bits_per_byte": loss / math.log(2),
        "accuracy": correct,
    }
    return {name: known[name] for name in names}


def curve(sums_3J: Any, names: tuple[str, ...], length: int) -> dict[str, list]:
    """Metrics by distance: `low`, `high`, `count` and each metric, bins with data."""
    table: dict[str, list] = {name: [] for name in ("low", "high", "count", *names)}
    for (low, high), (weight, loss, correct) in zip(
        edges(length), np.asarray(sums_3J).T[:-1], strict=True
    ):
        if weight <= 0:
            continue
        one = Sums(weight, loss, correct, weight, weight)
        row = {"low": low, "high": high, "count": float(weight), **metrics(one, names)}
        for name, value in row.items():
            table[name].append(value)
    return table
