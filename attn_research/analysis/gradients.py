"""Gradients by distance: how strongly an input moves an output k tokens away.

If gradients fall exponentially with the distance, a model cannot learn to use inputs
that are far back (Bengio et al., 1994, doi:10.1109/72.279181).
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

from attn_research.analysis import statistics as stats
from attn_research.analysis.jacobian import energy
from attn_research.analysis.layers import check_index, check_inputs, embed, open_model
from attn_research.analysis.representations import residual_stream
from attn_research.analysis.sharing import shared
from attn_research.analysis.statistics import Interval
from attn_research.checkpoint import Restored
from attn_research.losses import Target, losses
from attn_research.options import BadInput
from attn_research.tasks.contract import Batch, Spec

# Energies this far below the largest are rounding, and no decay is fitted to them.
FLOOR = 1e-12
ALONE = 16  # distances that have a bin each


def output_energy(
    restored: Restored,
    inputs: Any,
    segments_BT: Any = None,
    *,
    layer: int | None = None,
    probes: int = 0,
    at_BN: Any = None,
) -> np.ndarray:
    """energy_BNS: the squared norm of d output_t / d input_s at the outputs at_BN.

    None means all outputs, -1 skips one. It covers the whole model, from the input of
    the first layer to that of the head, or one layer with its residual. `probes` as in
    `jacobian.energy`: 0 is exact and takes N x D pullbacks for each sequence, n is an
    estimate from N x n.
    """
    model = open_model(restored)
    if layer is not None:
        check_index("layer", layer, len(model.layers), "the model")
    inputs = check_inputs(model, inputs)
    if layer is None:
        energy_BNS = _of_model(restored, probes, inputs, segments_BT, at_BN)
    else:
        x_BTD = residual_stream(restored, inputs, segments_BT)[layer]
        block = list(model.trunk.blocks())[layer]
        place_BT = model.trunk.positions(segments_BT)
        energy_BNS = _of_block(block, probes, x_BTD, place_BT, at_BN)
    return np.asarray(energy_BNS)


@shared(1)
def _of_model(
    restored: Restored, probes: int, inputs: jax.Array, segments_BT: Any, at_BN: Any
) -> jax.Array:
    trunk = restored.model.bind(restored.params).trunk
    x_BTD, place_BT = embed(trunk, inputs, segments_BT)

    def through(x_1TD: jax.Array, place_1T: Any) -> jax.Array:
        for block in trunk.blocks():
            x_1TD = block(x_1TD, place_1T)
        return x_1TD if trunk.norm is None else trunk.norm(x_1TD)

    return _by_row(through, probes, x_BTD, place_BT, at_BN)


# Layers that are built alike differ in their parameters only.
@partial(jax.jit, static_argnums=1)
def _of_block(
    block: Any, probes: int, x_BTD: jax.Array, place_BT: Any, at_BN: Any
) -> jax.Array:
    return _by_row(block, probes, x_BTD, place_BT, at_BN)


def _by_row(
    through: Callable[..., jax.Array],
    probes: int,
    x_BTD: jax.Array,
    place_BT: Any,
    at_BN: Any,
) -> jax.Array:
    """The energies of each sequence, one after another."""

    def one(row: Any) -> jax.Array:
        x_TD, place_T, at_N = row
        place_1T = None if place_T is None else place_T[None]
        return energy(lambda x_TD: through(x_TD[None], place_1T)[0], x_TD, probes, at_N)

    return jax.lax.map(one, (x_BTD, place_BT, at_BN))


def loss_energy(
    restored: Restored, spec: Spec, batch: Batch, at_BN: Any = None
) -> np.ndarray:
    """energy_BNS: the squared norm of d loss_t / d input_s, one pullback per output.

    Raises `BadInput` for a task with one answer per sequence.
    """
    if spec.per_sequence or np.ndim(batch.weights) != 2:
        raise BadInput(
            f"{restored.config.task} has one answer per sequence; for the gradient of "
            "the loss by position it must have one at every position"
        )
    check_inputs(open_model(restored), batch.inputs)
    return np.asarray(_of_losses(restored, spec.target, batch, at_BN))


@shared(1)
def _of_losses(
    restored: Restored, target: Target, batch: Batch, at_BN: Any
) -> jax.Array:
    module = restored.model.bind(restored.params)
    trunk = module.trunk
    table_VD = trunk.frontend.table.get_value() if module.tied else None
    x_BTD, place_BT = embed(trunk, batch.inputs, batch.segments)

    def one(row: Any) -> jax.Array:
        x_TD, place_T, target_T, weight_T, at_N = row

        def through(x_TD: jax.Array) -> jax.Array:
            y_1TD = x_TD[None]
            for block in trunk.blocks():
                y_1TD = block(y_1TD, place_T[None])
            y_1TD = y_1TD if trunk.norm is None else trunk.norm(y_1TD)
            outputs_1TV = module.head(y_1TD, table_VD)
            loss_1T, _ = losses(
                outputs_1TV, target_T[None], target, weights=weight_T[None]
            )
            return (loss_1T[0] * weight_T)[:, None]

        return energy(through, x_TD, at_N=at_N)

    rows = x_BTD, place_BT, batch.targets, batch.weights, at_BN
    return jax.lax.map(one, rows)


def by_distance(
    energy_BNS: np.ndarray,
    segments_BT: Any = None,
    *,
    causal: bool = True,
    counts_BT: Any = None,
    at_BN: Any = None,
) -> np.ndarray:
    """energy_BK: the mean over the pairs of one segment that are k tokens apart.

    If the model is not causal, both directions count. `counts_BT` says which outputs
    count, `at_BN` where they are. NaN for a distance without pairs.
    """
    (B, N, T), time_T = energy_BNS.shape, np.arange(energy_BNS.shape[2])
    segments_BT = np.ones((B, T), int) if segments_BT is None else segments_BT
    segments_BT = np.asarray(segments_BT)
    at_BN = np.broadcast_to(time_T, (B, N)) if at_BN is None else np.asarray(at_BN)
    place_BN = np.maximum(at_BN, 0)
    segment_BN = np.take_along_axis(segments_BT, place_BN, axis=1)
    real_BN = (segment_BN > 0) & (at_BN >= 0)
    if counts_BT is not None:
        real_BN &= np.take_along_axis(np.asarray(counts_BT) > 0, place_BN, axis=1)
    back_BNS = at_BN[:, :, None] - time_T
    pair_BNS = real_BN[:, :, None] & (segment_BN[:, :, None] == segments_BT[:, None])
    if causal:
        pair_BNS &= back_BNS >= 0
    # Each sequence counts its distances in its own range of slots.
    slot = (np.abs(back_BNS) + T * np.arange(B)[:, None, None])[pair_BNS]
    total_BK, count_BK = (
        np.bincount(slot, weights, B * T).reshape(B, T)
        for weights in (energy_BNS[pair_BNS], None)
    )
    return np.where(count_BK > 0, total_BK / np.maximum(count_BK, 1), np.nan)


def bins(length: int) -> np.ndarray:
    """first_J of bins of distances: one each below `ALONE`, then 8 per doubling."""
    if length <= ALONE:
        return np.arange(length)
    doublings = math.log2(length / ALONE)
    far = np.geomspace(ALONE, length, 8 * math.ceil(doublings), endpoint=False)
    return np.unique([*range(ALONE), *far.astype(int)])


def norms(energy_BK: np.ndarray) -> list[tuple[float, Interval]]:
    """(distance, norm of the gradient): the mean over sequences and its interval.

    Far distances are in `bins`, each at the middle of its bin.
    """
    first_J = bins(energy_BK.shape[1])
    last_J = np.append(first_J[1:], energy_BK.shape[1]) - 1
    known_BK = np.isfinite(energy_BK)
    total_BJ, count_BJ = (
        np.add.reduceat(x_BK, first_J, axis=1)
        for x_BK in (np.where(known_BK, energy_BK, 0), known_BK.astype(float))
    )
    norm_BJ = np.sqrt(
        np.where(count_BJ > 0, total_BJ, np.nan) / np.maximum(count_BJ, 1)
    )
    middle_J = (first_J + last_J) / 2
    return [
        (float(k), stats.mean_interval(list(norm_B)))
        for k, norm_B in zip(middle_J, norm_BJ.T, strict=True)
        if np.isfinite(norm_B).any()
    ]


def decay(energy_BK: np.ndarray, first: int = 1) -> Interval:
    """The rate of norm ~ exp(-rate k) per token, from the distance `first` on.

    A line is fitted to the logarithm of each sequence's norms, as far as they exceed
    rounding errors. The interval is that of the mean over sequences, or of the line if
    there is one sequence. NaN for too few distances.
    """
    fitted = [_line(energy_K, first) for energy_K in np.asarray(energy_BK)]
    fitted = [line for line in fitted if np.isfinite(line.mean)]
    if len(fitted) == 1:
        mean, low, high = fitted[0]
        return Interval(-mean, -high, -low)
    return stats.mean_interval([-line.mean for line in fitted])


def _line(energy_K: np.ndarray, first: int) -> Interval:
    """The slope of the logarithm of the norms of one sequence."""
    known_K = np.nan_to_num(energy_K)
    lost_K = known_K <= FLOOR * known_K.max()
    lost_K[:first] = False
    last = int(np.argmax(lost_K)) if lost_K.any() else len(known_K)
    distance_K = np.arange(first, last)
    return stats.slope(distance_K, 0.5 * np.log(known_K[first:last]))
