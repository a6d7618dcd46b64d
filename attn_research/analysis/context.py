"""What a model loses where it may see no further back than so many tokens.

By the context: a position is given the last k inputs before it and itself as a sequence
of their own. So positions are counted and states are started anew, and what is measured
is what is worth knowing of before, together with what the model makes of so short a
sequence; it is there for every mixer. By the mask: attention keeps the whole sequence,
but each weight further back than k is taken out before the softmax; through several
layers more than k can still be seen.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.analysis.ablation import sequence_losses
from attn_research.analysis.compiled import shared
from attn_research.analysis.opened import Named, opened, within
from attn_research.analysis.surgery import Part, changed
from attn_research.checkpoint import Restored
from attn_research.modules import MIXERS
from attn_research.modules.heads import HeadOptions, Heads
from attn_research.ops.logits import Logits, distances
from attn_research.options import BadInput
from attn_research.tasks.contract import Batch, Spec

# Added to a score, this leaves no weight beside any other.
NEVER = -1e30


def loss_by_context(
    restored: Restored,
    spec: Spec,
    batches: Iterable[Batch],
    reaches: Sequence[int],
) -> np.ndarray:
    """loss_KB: the mean loss where a position is given no more than k inputs before it.

    Each answer of a row is a pass over the batch for every k, so that `thinned` ones
    are quicker. A model that is not causal is given k inputs after it too. Raises
    `BadInput` for a task with one answer per sequence.
    """
    if spec.per_sequence:
        raise BadInput(
            f"{restored.config.task} has one answer per sequence; the loss by context "
            "is there for tasks with one at every position"
        )

    found, causal = [], spec.causal
    for batch in batches:
        at_BN = asked(np.asarray(batch.weights))
        loss_KNB = [
            [_losses(restored, spec, seen(batch, at_B, reach, causal)) for at_B in at]
            for reach in reaches
            for at in [at_BN.T]
        ]
        found.append(_mean(np.asarray(loss_KNB)))
    return np.concatenate(found, axis=1)


_losses = shared(1)(sequence_losses)


def thinned(batch: Batch, most: int) -> Batch:
    """The batch with at most so many answers in each row, evenly chosen."""
    if np.ndim(batch.weights) == 1:
        return batch
    weights_BT = np.asarray(batch.weights)
    kept_BT = np.zeros(weights_BT.shape, bool)
    for row, at in zip(kept_BT, asked(weights_BT, most), strict=True):
        row[at[at >= 0]] = True
    weights: Any = weights_BT * kept_BT
    return batch._replace(weights=weights)


def asked(weights_BT: np.ndarray, most: int = 0) -> np.ndarray:
    """at_BN: the positions with an answer, evenly chosen; -1 fills rows with fewer."""
    rows = [np.flatnonzero(weight_T > 0) for weight_T in weights_BT]
    if most:
        rows = [
            at[np.linspace(0, len(at) - 1, most).round().astype(int)]
            if len(at) > most
            else at
            for at in rows
        ]
    at_BN = np.full((len(rows), max(map(len, rows))), -1)
    for row, at in zip(at_BN, rows, strict=True):
        row[: len(at)] = at
    return at_BN


def seen(batch: Batch, at_B: np.ndarray, reach: int, causal: bool) -> Batch:
    """The batch with one answer a row, and of the inputs those within its reach.

    What is further away is padding, and so is what is not of its sequence.
    """
    time_1T = np.arange(batch.weights.shape[1])[None]
    at_B1 = at_B[:, None]
    segments_BT = np.asarray(batch.segments)
    own_B1 = np.take_along_axis(segments_BT, np.maximum(at_B1, 0), axis=1)
    near_BT = (time_1T >= at_B1 - reach) & (segments_BT == own_B1)
    near_BT &= time_1T <= (at_B1 if causal else at_B1 + reach)
    answer_BT = (time_1T == at_B1).astype(np.float32)
    return batch._replace(
        segments=near_BT.astype(np.int32), weights=answer_BT * batch.weights
    )


def _mean(loss_KNB: np.ndarray) -> np.ndarray:
    """loss_KB over the answers that there are."""
    real_KNB = np.isfinite(loss_KNB)
    total_KB = np.where(real_KNB, loss_KNB, 0).sum(axis=1)
    count_KB = real_KNB.sum(axis=1)
    return np.where(count_KB > 0, total_KB / np.maximum(count_KB, 1), np.nan)


def loss_by_mask(
    restored: Restored,
    spec: Spec,
    batches: Iterable[Batch],
    reaches: Sequence[int],
    layer: int | None = None,
) -> np.ndarray:
    """loss_KB: the mean loss where attention has no weight further away than k.

    In one layer, or in all of them: of a hybrid, in its attention. Raises `BadInput`
    where there is no attention.
    """
    found = [
        [_losses_near(restored, spec, layer, batch, np.int32(k)) for k in reaches]
        for batch in batches
    ]
    return np.concatenate([np.stack(loss_KB) for loss_KB in found], axis=1)


@shared(1, 2)
def _losses_near(
    restored: Restored, spec: Spec, layer: int | None, batch: Batch, reach: jax.Array
) -> jax.Array:
    return sequence_losses(nearby(restored, reach, layer), spec, batch)


def nearby(restored: Restored, reach: Any, layer: int | None = None) -> Restored:
    """The model whose attention has no weight further away than `reach`, a number that
    may be traced. Raises `BadInput` where there is no attention.
    """
    of = opened(restored)
    if layer is not None:
        within("layer", layer, len(of.layers), "the model")
    chosen = of.layers if layer is None else [of.layers[layer]]
    if not any(attends(named) for mixers in chosen for named in mixers):
        names = ", ".join(named.name for mixers in chosen for named in mixers)
        known = [
            name for name in MIXERS if issubclass(MIXERS[name].Options, HeadOptions)
        ]
        raise BadInput(
            f"The weights of {names} cannot be taken out by their distance; those of "
            f"{', '.join(known)} can"
        )

    def mixer(index: int, place: int, named: Named) -> Part:
        if layer in (None, index) and attends(named):
            attention: Any = named.mixer
            attention.heads = _Near(attention.heads, reach)
        return named.mixer

    return changed(restored, mixer)


def attends(named: Named) -> bool:
    """Whether a mixer is softmax attention of each query over keys of their own."""
    return isinstance(getattr(named.mixer, "heads", None), Heads)


class _Near:
    """Heads whose scores fall to nothing beyond a distance."""

    def __init__(self, heads: Heads, reach: Any):
        self.heads, self.reach = heads, reach

    def __call__(self, x_BTD: jax.Array, segments_BT: Any, attend: Part) -> jax.Array:
        def near(*qkv: jax.Array, segments_BT: Any, logits: Logits) -> jax.Array:
            queries, heads = qkv[0].shape[1:3]
            far_1D = jnp.abs(distances(queries, queries))[None] > self.reach
            bias_HD = logits.bias_HD
            if bias_HD is None:
                bias_HD = jnp.zeros((heads, far_1D.shape[1]), jnp.float32)
            never = jnp.asarray(NEVER, bias_HD.dtype)
            logits = logits._replace(bias_HD=jnp.where(far_1D, never, bias_HD))
            # An implementation that was asked for may not know of a bias.
            return attend(
                *qkv, segments_BT=segments_BT, logits=logits, implementation=None
            )

        return self.heads(x_BTD, segments_BT, near)
