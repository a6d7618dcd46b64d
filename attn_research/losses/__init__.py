"""The loss and the scores of predictions, by the kind of their target.

Every kind has a loss to minimise and `SCORES` to report, per prediction: a position of
a sequence for tokens and values, a whole sequence for classes, spans and strings.
"""

from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from attn_research import plugins
from attn_research.losses.labels import existing, within
from attn_research.losses.strings import BLANK, collapsed, edits

__all__ = [
    "BLANK",
    "METRICS",
    "SCORES",
    "Score",
    "Target",
    "best_span",
    "collapsed",
    "edits",
    "existing",
    "hits",
    "losses",
    "own",
]

Target = Literal["token", "value", "class", "span", "string"]

# The scores beside the loss. An error rate is edits per symbol of the answer.
SCORES: dict[Target, tuple[str, ...]] = {
    "token": ("accuracy",),
    "class": ("accuracy",),
    "value": ("mae",),
    "span": ("exact_match", "f1"),
    "string": ("error_rate",),
}


class Score(NamedTuple):
    """A metric of a plugin: the mean over predictions of `score(outputs, targets)`.

    `outputs` and `targets` are those of `losses`; the result has an entry for each
    prediction, in the shape of the weights. `goal` says whether a good one is large.
    """

    target: Target
    score: Callable[[Any, Any], jax.Array]
    goal: Literal["max", "min"] = "max"


_KNOWN = ("loss", "mse", "bits_per_dimension", "bits_per_byte", "macro_f1")


def _check_score(name: str, entry: Any) -> str | None:
    """What is wrong with a metric of a plugin."""
    if name in _KNOWN or any(name in names for names in SCORES.values()):
        return f"there is a metric {name!r} already; the name must be another one"
    if not isinstance(entry, Score) or not callable(entry.score):
        return f"the metric {name!r} is {entry!r}; it must be a losses.Score"
    if entry.target not in SCORES:
        kinds = ", ".join(SCORES)
        return f"the metric {name!r} is of {entry.target!r}; it must be one of {kinds}"
    return None


METRICS: dict[str, Score] = plugins.table("METRICS", {}, _check_score)


def own(names: Iterable[str]) -> tuple[str, ...]:
    """Those of the metrics that a plugin brings, in order."""
    return tuple(name for name in names if name in METRICS)


def losses(
    outputs: jax.Array,
    targets: jax.Array,
    target: Target,
    segments_BT: Any = None,
    longest: int = 0,
    weights: Any = None,
) -> tuple[jax.Array, jax.Array]:
    """The loss of each prediction, and its scores, stacked along a leading axis.

    | target | loss | scores |
    |---|---|---|
    | token, class | cross-entropy in nats | accuracy |
    | value | mean squared error over channels | mean absolute error |
    | span | mean cross-entropy of both ends, in segments above 0 | of `best_span` |
    | string | connectionist temporal classification, per symbol | error rate |

    For values `targets` may lack an axis of one channel. For spans `outputs` is BT2 and
    `targets` B2, the first and the last position, for strings BTV and BL, ended by
    `BLANK`. A string that needs more positions than there are has no likelihood: its
    loss is 0.

    A target that does not exist (a class outside the outputs, a span that is not in
    order or leaves the real positions) raises BadInput; inside a compiled program,
    which cannot raise, its loss and scores are NaN. If `weights` are given, a target of
    weight 0 may be any number.
    """
    if target == "value":
        if targets.ndim < outputs.ndim:
            targets = targets[..., None]
        error = outputs - targets
        return jnp.mean(error * error, axis=-1), jnp.mean(jnp.abs(error), axis=-1)[None]
    if target == "span":
        loss, scores, wrong = _span(outputs, targets, segments_BT, longest, weights)
    elif target == "string":
        loss, scores, wrong = _string(outputs, targets, segments_BT, weights)
    else:
        targets, wrong = existing(targets, outputs.shape[-1], weights)
        loss = optax.softmax_cross_entropy_with_integer_labels(outputs, targets)
        correct = jnp.argmax(outputs, axis=-1) == targets
        scores = correct.astype(jnp.float32)[None]
    return jnp.where(wrong, jnp.nan, loss), jnp.where(wrong[None], jnp.nan, scores)


def hits(
    outputs: jax.Array, targets: jax.Array, weights: jax.Array, target: Target
) -> jax.Array:
    """counts_3V: how often each class was predicted rightly, predicted, and the answer.

    Weighted; without columns for targets other than classes. A class that does not
    exist is refused, or makes the answers NaN, as in `losses`.
    """
    if target != "class":
        return jnp.zeros((3, 0))
    classes = outputs.shape[-1]
    predicted_BV = jax.nn.one_hot(jnp.argmax(outputs, axis=-1).reshape(-1), classes)
    targets, wrong = existing(targets, classes, weights)
    actual_BV = jax.nn.one_hot(targets.reshape(-1), classes)
    actual_BV = jnp.where(wrong.reshape(-1, 1), jnp.nan, actual_BV)
    stacked_3BV = jnp.stack([predicted_BV * actual_BV, predicted_BV, actual_BV])
    return jnp.sum(stacked_3BV * weights.reshape(1, -1, 1), axis=1)


def _span(logits_BT2, span_B2, segments_BT, longest, weights_B):
    real_BT = _real(logits_BT2, segments_BT)
    span_B2, wrong_B = within(span_B2, real_BT, weights_B)
    real_BT1 = real_BT[..., None]
    logits_BT2 = jnp.where(real_BT1, logits_BT2, jnp.finfo(logits_BT2.dtype).min)
    loss_B2 = optax.softmax_cross_entropy_with_integer_labels(
        jnp.swapaxes(logits_BT2, 1, 2), span_B2
    )
    first_B, last_B = best_span(logits_BT2, longest).T
    low_B, high_B = span_B2.T
    shared_B = jnp.minimum(last_B, high_B) - jnp.maximum(first_B, low_B) + 1
    both_B = (last_B - first_B + 1) + (high_B - low_B + 1)
    f1_B = 2 * jnp.maximum(shared_B, 0) / both_B
    exact_B = (first_B == low_B) & (last_B == high_B)
    scores = jnp.stack([exact_B.astype(jnp.float32), f1_B.astype(jnp.float32)])
    return jnp.mean(loss_B2, axis=1), scores, wrong_B


def best_span(logits_BT2: jax.Array, longest: int = 0) -> jax.Array:
    """span_B2: the first and last position, in order, of the largest sum of logits.

    With `longest` above 0, among spans of at most this many positions.
    """
    first_BT, last_BT = logits_BT2[..., 0], logits_BT2[..., 1]
    length = first_BT.shape[1]
    size = min(longest or length, length)
    # The best score of a first position for each last position.
    if size == length:
        top_BT = jax.lax.cummax(first_BT, axis=1)
    else:
        before = (0, 0), (size - 1, 0)
        top_BT = jax.lax.reduce_window(
            first_BT, -jnp.inf, jax.lax.max, (1, size), (1, 1), before
        )
    end_B1 = jnp.argmax(top_BT + last_BT, axis=1, keepdims=True)
    place_1T = jnp.arange(length)[None]
    near_BT = (place_1T <= end_B1) & (place_1T > end_B1 - size)
    start_B = jnp.argmax(jnp.where(near_BT, first_BT, -jnp.inf), axis=1)
    return jnp.concatenate([start_B[:, None], end_B1], axis=1)


def _string(logits_BTV, labels_BL, segments_BT, weights_B):
    labels_BL, wrong_BL = existing(labels_BL, logits_BTV.shape[-1], weights_B)
    real_BT = _real(logits_BTV, segments_BT)
    padded_BL = (labels_BL == BLANK).astype(jnp.float32)
    with jax.numpy_dtype_promotion("standard"):  # optax mixes counts and logits
        loss_B = optax.ctc_loss(
            logits_BTV,
            (~real_BT).astype(jnp.float32),
            labels_BL,
            padded_BL,
            blank_id=BLANK,
        )
    said_BL = labels_BL != BLANK
    # Between equal symbols a path has a blank.
    twice_BL = said_BL[:, 1:] & (labels_BL[:, 1:] == labels_BL[:, :-1])
    needed_B = jnp.sum(said_BL, axis=1) + jnp.sum(twice_BL, axis=1)
    loss_B = jnp.where(jnp.sum(real_BT, axis=1) >= needed_B, loss_B, 0.0)
    count_B = jnp.maximum(jnp.sum(said_BL, axis=1), 1).astype(jnp.float32)
    string_BT = collapsed(jnp.argmax(logits_BTV, axis=-1), real_BT)
    edits_B = edits(string_BT, labels_BL).astype(jnp.float32)
    scores = (edits_B / count_B)[None]
    return loss_B / count_B, scores, jnp.any(wrong_BL, axis=1)


def _real(outputs, segments_BT):
    """Which outputs belong to tokens; one output may cover several tokens."""
    batch, time = outputs.shape[:2]
    if segments_BT is None:
        return jnp.ones((batch, time), bool)
    stride = -(-segments_BT.shape[1] // time)
    return segments_BT[:, ::stride] > 0
