"""Gradients by distance: how strongly an input moves an output k tokens away.

Gradients that fall exponentially with the distance cannot teach what lies far back
(Bengio et al., 1994, doi:10.1109/72.279181).
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

from attn_research.analysis import statistics as stats
from attn_research.analysis.jacobian import energy
from attn_research.analysis.opened import checked, embedded, opened, within
from attn_research.analysis.statistics import Interval
from attn_research.checkpoint import Restored
from attn_research.losses import Target, losses
from attn_research.options import BadInput
from attn_research.tasks.contract import Batch, Spec

# Energies this far below the largest are rounding, and no decay is fitted to them.
FLOOR = 1e-12


def output_energy(
    restored: Restored,
    inputs: Any,
    segments_BT: Any = None,
    *,
    layer: int | None = None,
    probes: int = 0,
) -> np.ndarray:
    """energy_BTS: the squared norm of d output_t / d input_s.

    Of the whole model, from what the first layer is given to what the head is; or of
    one layer, with its residual stream. `probes` as in `jacobian.energy`: 0 is exact
    and takes T x D pullbacks for each sequence, n an estimate by T x n.
    """
    of = opened(restored)
    if layer is not None:
        within("layer", layer, len(of.layers), "the model")
    inputs = checked(of, inputs)
    bind = restored.model.bind
    return np.asarray(
        _of_outputs(bind, layer, probes, restored.params, inputs, segments_BT)
    )


# A model is looked at before and after training, by one program.
@partial(jax.jit, static_argnums=(0, 1, 2))
def _of_outputs(
    bind: Callable[[Any], Any],
    layer: int | None,
    probes: int,
    params: Any,
    inputs: jax.Array,
    segments_BT: Any,
) -> jax.Array:
    trunk = bind(params).trunk
    x_BTD, place_BT = embedded(trunk, inputs, segments_BT)
    blocks = list(trunk.blocks())
    for block in blocks[:layer] if layer is not None else []:
        x_BTD = block(x_BTD, place_BT)
    blocks = blocks if layer is None else blocks[layer : layer + 1]
    last = trunk.norm if layer is None else None

    def one(row: Any) -> jax.Array:
        x_TD, place_T = row

        def through(x_TD: jax.Array) -> jax.Array:
            y_1TD = x_TD[None]
            for block in blocks:
                y_1TD = block(y_1TD, None if place_T is None else place_T[None])
            return (y_1TD if last is None else last(y_1TD))[0]

        return energy(through, x_TD, probes)

    return jax.lax.map(one, (x_BTD, place_BT))


def loss_energy(restored: Restored, spec: Spec, batch: Batch) -> np.ndarray:
    """energy_BTS: the squared norm of d loss_t / d input_s, T pullbacks a sequence.

    Raises `BadInput` for a task with one answer per sequence.
    """
    if spec.per_sequence or np.ndim(batch.weights) != 2:
        raise BadInput(
            f"{restored.config.task} has one answer per sequence; the loss by position "
            "is there for tasks with one at every position"
        )
    checked(opened(restored), batch.inputs)
    return np.asarray(
        _of_losses(restored.model.bind, spec.target, restored.params, batch)
    )


@partial(jax.jit, static_argnums=(0, 1))
def _of_losses(
    bind: Callable[[Any], Any], target: Target, params: Any, batch: Batch
) -> jax.Array:
    module = bind(params)
    trunk = module.trunk
    table_VD = trunk.frontend.table.get_value() if module.tied else None
    x_BTD, place_BT = embedded(trunk, batch.inputs, batch.segments)

    def one(row: Any) -> jax.Array:
        x_TD, place_T, target_T, weight_T = row

        def through(x_TD: jax.Array) -> jax.Array:
            y_1TD = x_TD[None]
            for block in trunk.blocks():
                y_1TD = block(y_1TD, place_T[None])
            y_1TD = y_1TD if trunk.norm is None else trunk.norm(y_1TD)
            outputs_1TV = module.head(y_1TD, table_VD)
            loss_1T, _ = losses(outputs_1TV, target_T[None], target)
            return (loss_1T[0] * weight_T)[:, None]

        return energy(through, x_TD)

    return jax.lax.map(one, (x_BTD, place_BT, batch.targets, batch.weights))


def by_distance(
    energy_BTS: np.ndarray,
    segments_BT: Any = None,
    *,
    causal: bool = True,
    counts_BT: Any = None,
) -> np.ndarray:
    """energy_BK: the mean over the pairs of one segment that are k tokens apart.

    Not causal, ahead and back alike. `counts_BT` says which outputs count. NaN where
    there is no pair.
    """
    B, T, _ = energy_BTS.shape
    segments_BT = np.ones((B, T), int) if segments_BT is None else segments_BT
    segments_BT = np.asarray(segments_BT)
    counts_BT = np.ones((B, T), bool) if counts_BT is None else np.asarray(counts_BT)
    pair_BTS = segments_BT[:, :, None] == segments_BT[:, None]
    pair_BTS &= ((segments_BT > 0) & (counts_BT > 0))[:, :, None]
    total_BK, count_BK = np.zeros((B, T)), np.zeros((B, T))
    for k in range(T):
        for offset in {-k} if causal else {-k, k}:
            found, real = (
                np.diagonal(x_BTS, offset, axis1=1, axis2=2)
                for x_BTS in (energy_BTS, pair_BTS)
            )
            total_BK[:, k] += np.where(real, found, 0).sum(axis=1)
            count_BK[:, k] += real.sum(axis=1)
    return np.where(count_BK > 0, total_BK / np.maximum(count_BK, 1), np.nan)


def norms(energy_BK: np.ndarray) -> list[tuple[float, Interval]]:
    """(distance, norm of the gradient): the mean over sequences and its interval."""
    return [
        (float(k), stats.bootstrap(list(np.sqrt(energy_B))))
        for k, energy_B in enumerate(energy_BK.T)
        if np.isfinite(energy_B).any()
    ]


def decay(energy_BK: np.ndarray, first: int = 1) -> Interval:
    """rate of norm ~ exp(-rate k) per token, from the distance `first` on.

    A line is fitted to the logarithm of each sequence's norms, up to where they are
    lost in rounding. The interval is that of the mean over sequences; of one sequence
    that of its line. NaN where there are too few distances.
    """
    fitted = [_line(energy_K, first) for energy_K in np.asarray(energy_BK)]
    fitted = [line for line in fitted if np.isfinite(line.mean)]
    if len(fitted) == 1:
        mean, low, high = fitted[0]
        return Interval(-mean, -high, -low)
    return stats.bootstrap([-line.mean for line in fitted])


def _line(energy_K: np.ndarray, first: int) -> Interval:
    """The slope of the logarithm of the norms of one sequence."""
    known_K = np.nan_to_num(energy_K)
    lost_K = known_K <= FLOOR * known_K.max()
    lost_K[:first] = False
    last = int(np.argmax(lost_K)) if lost_K.any() else len(known_K)
    distance_K = np.arange(first, last)
    return stats.slope(distance_K, 0.5 * np.log(known_K[first:last]))
