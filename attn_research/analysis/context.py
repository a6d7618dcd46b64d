"""The loss of a model that sees no further back than k tokens.

By the context: each position and the k inputs before it become a sequence of their own.
Positions are counted anew and states start anew, so this measures what the further past
is worth, and what a sequence so short costs; it works for every mixer. By the mask:
attention keeps the whole sequence, but every weight further back than k is removed
before the softmax; through several layers a model still sees more than k.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.analysis.ablation import sequence_losses
from attn_research.analysis.layers import Named, check_index, open_model
from attn_research.analysis.sharing import shared
from attn_research.analysis.surgery import Part, replace_parts
from attn_research.checkpoint import Restored
from attn_research.modules import MIXERS
from attn_research.modules.heads import HeadOptions, Heads
from attn_research.ops.logits import Logits, distances
from attn_research.options import BadInput
from attn_research.tasks.contract import Batch, Spec

# A score this low gets no weight next to any other.
NEVER = -1e30


def loss_by_context(
    restored: Restored,
    spec: Spec,
    batches: Iterable[Batch],
    reaches: Sequence[int],
) -> np.ndarray:
    """loss_KB: the mean loss if a position sees at most k inputs before it.

    Each answer of a row costs a pass over the batch for every k, so `thin` the batches
    first. A model that is not causal sees k inputs after it too. Raises `BadInput` for
    a task with one answer per sequence.
    """
    if spec.per_sequence:
        raise BadInput(
            f"{restored.config.task} has one answer per sequence; for the loss by "
            "context it must have one at every position"
        )

    by_batch, causal = [], spec.causal
    for batch in batches:
        at_BN = answer_positions(np.asarray(batch.weights))
        loss_KNB = [
            [
                _losses(restored, spec, within_reach(batch, at_B, reach, causal))
                for at_B in at_BN.T
            ]
            for reach in reaches
        ]
        by_batch.append(_mean(np.asarray(loss_KNB)))
    return np.concatenate(by_batch, axis=1)


_losses = shared(1)(sequence_losses)


def thin(batch: Batch, most: int) -> Batch:
    """The batch with at most `most` answers in each row, evenly spaced."""
    if np.ndim(batch.weights) == 1:
        return batch
    weights_BT = np.asarray(batch.weights)
    chosen_BT = np.zeros(weights_BT.shape, bool)
    for row, at in zip(chosen_BT, answer_positions(weights_BT, most), strict=True):
        row[at[at >= 0]] = True
    weights: Any = weights_BT * chosen_BT
    return batch._replace(weights=weights)


def answer_positions(weights_BT: np.ndarray, most: int = 0) -> np.ndarray:
    """at_BN: the positions with an answer, -1 in rows with fewer.

    With `most` at most this number in each row, evenly spaced.
    """
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


def within_reach(batch: Batch, at_B: np.ndarray, reach: int, causal: bool) -> Batch:
    """The batch with one answer per row, and the inputs within its reach.

    Inputs further away, or of another segment, become padding.
    """
    time_1T = np.arange(batch.weights.shape[1])[None]
    at_B1 = at_B[:, None]
    segments_BT = np.asarray(batch.segments)
    segment_B1 = np.take_along_axis(segments_BT, np.maximum(at_B1, 0), axis=1)
    near_BT = (time_1T >= at_B1 - reach) & (segments_BT == segment_B1)
    near_BT &= time_1T <= (at_B1 if causal else at_B1 + reach)
    answer_BT = (time_1T == at_B1).astype(np.float32)
    return batch._replace(
        segments=near_BT.astype(np.int32), weights=answer_BT * batch.weights
    )


def _mean(loss_KNB: np.ndarray) -> np.ndarray:
    """loss_KB over the answers whose loss is finite."""
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
    """loss_KB: the mean loss if attention has no weight further away than k.

    In one layer, or in every layer with attention. Raises `BadInput` for layers without
    attention.
    """
    by_batch = [
        [_losses_near(restored, spec, layer, batch, np.int32(k)) for k in reaches]
        for batch in batches
    ]
    return np.concatenate([np.stack(loss_KB) for loss_KB in by_batch], axis=1)


@shared(1, 2)
def _losses_near(
    restored: Restored, spec: Spec, layer: int | None, batch: Batch, reach: jax.Array
) -> jax.Array:
    return sequence_losses(limit_reach(restored, reach, layer), spec, batch)


def limit_reach(restored: Restored, reach: Any, layer: int | None = None) -> Restored:
    """The model whose attention has no weight further away than `reach`.

    `reach` may be traced. Raises `BadInput` for layers without attention.
    """
    layers = open_model(restored).layers
    if layer is not None:
        check_index("layer", layer, len(layers), "the model")
    chosen = layers if layer is None else [layers[layer]]
    if not any(attends(named) for mixers in chosen for named in mixers):
        names = ", ".join(named.name for mixers in chosen for named in mixers)
        known = [
            name for name in MIXERS if issubclass(MIXERS[name].Options, HeadOptions)
        ]
        raise BadInput(
            f"The weights of {names} cannot be removed by distance; the mixer must be "
            f"one of {', '.join(known)}"
        )

    def mixer(index: int, place: int, named: Named) -> Part:
        if layer in (None, index) and attends(named):
            attention: Any = named.mixer
            attention.heads = _Near(attention.heads, reach)
        return named.mixer

    return replace_parts(restored, mixer)


def attends(named: Named) -> bool:
    """Whether a mixer is softmax attention with keys of its own."""
    return isinstance(getattr(named.mixer, "heads", None), Heads)


class _Near:
    """Heads whose scores are `NEVER` beyond a distance."""

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
            # The implementation of the options may not support a bias.
            return attend(
                *qkv, segments_BT=segments_BT, logits=logits, implementation=None
            )

        return self.heads(x_BTD, segments_BT, near)
