"""Metrics of predictions: sums of loss and scores over a split, by gap and position.

Batches give sums, not means, so that they add up to the exact mean over a split.
Distances are binned by powers of two: bin 0 holds 0, bin i holds 2^(i-1) to 2^i - 1;
the last bin holds unknown distances (-1).
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.losses import SCORES, Target, own


class Scored(NamedTuple):
    """The predictions of one batch, scored; the arrays share one shape, B or BL.

    `scores` has an axis more in front, `hits_3V` is that of `losses.hits`. `bytes` is
    the number of bytes of each target, None if each is one; `group_B` the group of each
    row, None without groups.
    """

    loss: jax.Array
    scores: jax.Array
    weights: jax.Array
    gap: jax.Array
    position: jax.Array
    hits_3V: jax.Array
    bytes: jax.Array | None = None
    group_B: jax.Array | None = None


class Sums(NamedTuple):
    """Weighted sums over predictions: in total, and in bins J of gap and position.

    The rows R are the weight, the loss, the `SCORES` of the target and those of
    plugins, and its bytes.
    `hits_3V` has the counts of `losses.hits` for each class, `group_RG` the sums of
    each group of examples.
    """

    total_R: jax.Array
    gap_RJ: jax.Array
    position_RJ: jax.Array
    hits_3V: jax.Array
    group_RG: Any = None


def nothing(
    length: int,
    target: Target,
    outputs: int,
    groups: int = 0,
    names: tuple[str, ...] = (),
) -> Sums:
    """The sums over zero predictions; of the metrics `names`, plugins add rows."""
    rows = 3 + len(SCORES[target]) + len(own(names))
    zero_RJ = jnp.zeros((rows, bins(length)))
    zero_3V = jnp.zeros((3, outputs if target == "class" else 0))
    zero_RG = jnp.zeros((rows, groups))
    return Sums(jnp.zeros(rows), zero_RJ, zero_RJ, zero_3V, zero_RG)


def bins(length: int) -> int:
    """The number of bins for distances below `length`, including the unknown."""
    return max(length - 1, 1).bit_length() + 2


def edges(length: int) -> list[tuple[int, int]]:
    """The lowest and highest distance of each bin of known distances."""
    known = bins(length) - 1
    return [(0, 0), *((1 << i, (2 << i) - 1) for i in range(known - 1))]


def mean(loss: jax.Array, weights: jax.Array) -> jax.Array:
    """The weighted mean, 0 if all weights are 0."""
    return jnp.sum(loss * weights) / jnp.maximum(jnp.sum(weights), 1e-9)


def sums(scored: Scored, length: int, groups: int = 0) -> Sums:
    """The sums over one batch, of distances below `length` and this many groups."""
    loss, weights, group_B = scored.loss, scored.weights, scored.group_B
    bytes = weights if scored.bytes is None else scored.bytes * weights
    scores = (score * weights for score in scored.scores)
    rows = [weights, loss * weights, *scores, bytes]
    stacked_R = jnp.stack(rows).reshape(len(rows), -1)
    count = bins(length)

    def binned(distance: jax.Array) -> jax.Array:
        log = 32 - jax.lax.clz(jnp.maximum(distance, 0).astype(jnp.int32))
        slot = jnp.where(distance < 0, count - 1, jnp.minimum(log, count - 2))
        onto = jax.nn.one_hot(slot.reshape(-1), count, dtype=jnp.float32)
        return stacked_R @ onto

    group_RG = jnp.zeros((len(rows), groups))
    if group_B is not None:
        rows_B1 = group_B.reshape(group_B.shape + (1,) * (loss.ndim - 1))
        each = jnp.broadcast_to(rows_B1, loss.shape).reshape(-1)
        group_RG = stacked_R @ jax.nn.one_hot(each, groups, dtype=jnp.float32)
    total_R = jnp.sum(stacked_R, axis=1)
    gap_RJ, position_RJ = binned(scored.gap), binned(scored.position)
    return Sums(total_R, gap_RJ, position_RJ, scored.hits_3V, group_RG)


def values(total: Sums, names: tuple[str, ...], target: Target) -> dict[str, float]:
    """The named metrics of one member as plain numbers; NaN if the weight is 0."""
    known = means(total.total_R, target, own(names))
    if target == "class":
        known["macro_f1"] = macro_f1(total.hits_3V)
    return {name: known[name] for name in names}


def macro_f1(hits_3V: Any) -> float:
    """The mean over classes of F1, the harmonic mean of precision and recall.

    Classes that were predicted or were an answer weigh the same, however rare; NaN if
    there are none. Opitz & Burst, 2019, arXiv:1911.03347, compare this with another
    mean of the same name.
    """
    right_V, predicted_V, actual_V = np.asarray(hits_3V, np.float64)
    both_V = predicted_V + actual_V
    seen = both_V > 0
    return float(np.mean(2 * right_V[seen] / both_V[seen])) if seen.any() else math.nan


def means(total_R: Any, target: Target, more: tuple[str, ...] = ()) -> dict[str, float]:
    """Every metric of a target that is a mean over predictions, and `more` scores."""
    weight, *rest, bytes = np.asarray(total_R, np.float64).tolist()
    loss, *scores = (total / weight if weight else math.nan for total in rest)
    known = {"loss": loss, **dict(zip((*SCORES[target], *more), scores, strict=True))}
    if target == "value":
        known["mse"] = loss
    else:
        known["bits_per_dimension"] = bits = loss / math.log(2)
        # The bits of a token are shared among its bytes.
        known["bits_per_byte"] = bits * (weight / bytes) if bytes else math.nan
    return known


def by_group(
    sums_RG: Any, names: tuple[str, ...], target: Target, groups: tuple[str, ...]
) -> dict[str, list]:
    """Metrics of each group of examples: `name`, `count` and each metric.

    Only metrics that are means over predictions; empty groups are left out.
    """
    names = tuple(name for name in names if name != "macro_f1")
    table: dict[str, list] = {name: [] for name in ("name", "count", *names)}
    for group, sums_R in zip(groups, np.asarray(sums_RG).T, strict=True):
        if sums_R[0] <= 0:
            continue
        known = means(sums_R, target, own(names))
        row = {"name": group, "count": float(sums_R[0])}
        for name, value in {**row, **{name: known[name] for name in names}}.items():
            table[name].append(value)
    return table


def curve(
    sums_RJ: Any, names: tuple[str, ...], target: Target, length: int
) -> dict[str, list]:
    """Metrics by distance: `low`, `high`, `count` and each metric.

    Only metrics that are means over predictions; empty bins are left out.
    """
    names = tuple(name for name in names if name != "macro_f1")
    table: dict[str, list] = {name: [] for name in ("low", "high", "count", *names)}
    for (low, high), sums_R in zip(
        edges(length), np.asarray(sums_RJ).T[:-1], strict=True
    ):
        if sums_R[0] <= 0:
            continue
        row = {"low": low, "high": high, "count": float(sums_R[0])}
        known = means(sums_R, target, own(names))
        for name, value in {**row, **{name: known[name] for name in names}}.items():
            table[name].append(value)
    return table
