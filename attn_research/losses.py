"""The loss and the scores of predictions, by the kind of their target.

Every kind gives a loss to descend and `SCORES` to report, per prediction: a position of
a sequence for tokens and values, a whole sequence for classes, spans and strings.
"""

from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax

Target = Literal["token", "value", "class", "span", "string"]

# What is scored beside the loss. An error rate is edits per symbol of the answer.
SCORES: dict[Target, tuple[str, ...]] = {
    "token": ("accuracy",),
    "class": ("accuracy",),
    "value": ("mae",),
    "span": ("exact_match", "f1"),
    "string": ("error_rate",),
}
BLANK = 0  # the symbol of a string that stands for none


def losses(
    outputs: jax.Array,
    targets: jax.Array,
    target: Target,
    segments_BT: Any = None,
    longest: int = 0,
) -> tuple[jax.Array, jax.Array]:
    """The loss of each prediction, and its scores, stacked before it.

    Cross-entropy in nats for tokens and classes. For values the error squared, and
    absolute, averaged over the channels, which a target of one channel leaves out. For
    spans `outputs` is BT2 and `targets` B2, the first and the last position: the mean
    cross-entropy of both over the positions of segments above 0, and the scores of
    `best_span`. For strings `outputs` is BTV and `targets` BL, ended by `BLANK`: see
    `string_loss`.
    """
    if target == "value":
        if targets.ndim < outputs.ndim:
            targets = targets[..., None]
        error = outputs - targets
        return jnp.mean(error * error, axis=-1), jnp.mean(jnp.abs(error), axis=-1)[None]
    if target == "span":
        return _span(outputs, targets, segments_BT, longest)
    if target == "string":
        return _string(outputs, targets, segments_BT)
    loss = optax.softmax_cross_entropy_with_integer_labels(outputs, targets)
    correct = jnp.argmax(outputs, axis=-1) == targets
    return loss, correct.astype(jnp.float32)[None]


def hits(
    outputs: jax.Array, targets: jax.Array, weights: jax.Array, target: Target
) -> jax.Array:
    """counts_3V: how often each class was rightly predicted, predicted, and the answer.

    Weighted; of targets that are no classes there are no columns.
    """
    if target != "class":
        return jnp.zeros((3, 0))
    classes = outputs.shape[-1]
    predicted_BV = jax.nn.one_hot(jnp.argmax(outputs, axis=-1).reshape(-1), classes)
    actual_BV = jax.nn.one_hot(targets.reshape(-1), classes)
    stacked_3BV = jnp.stack([predicted_BV * actual_BV, predicted_BV, actual_BV])
    return jnp.sum(stacked_3BV * weights.reshape(1, -1, 1), axis=1)


def _span(logits_BT2, span_B2, segments_BT, longest):
    real_BT1 = _real(logits_BT2, segments_BT)[..., None]
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
    return jnp.mean(loss_B2, axis=1), scores


def best_span(logits_BT2: jax.Array, longest: int = 0) -> jax.Array:
    """span_B2: the first and last position, in order, of the largest sum of logits.

    With `longest` above 0, of those of so many positions at most.
    """
    first_BT, last_BT = logits_BT2[..., 0], logits_BT2[..., 1]
    length = first_BT.shape[1]
    size = min(longest or length, length)
    # The best first position that each last one may have.
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


def _string(logits_BTV, labels_BL, segments_BT):
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
    count_B = jnp.maximum(jnp.sum(labels_BL != BLANK, axis=1), 1).astype(jnp.float32)
    heard_BT = collapsed(jnp.argmax(logits_BTV, axis=-1), real_BT)
    edits_B = edits(heard_BT, labels_BL).astype(jnp.float32)
    return loss_B / count_B, (edits_B / count_B)[None]


def _real(outputs, segments_BT):
    """Which outputs stand for tokens; there may be one output for several tokens."""
    batch, time = outputs.shape[:2]
    if segments_BT is None:
        return jnp.ones((batch, time), bool)
    stride = -(-segments_BT.shape[1] // time)
    return segments_BT[:, ::stride] > 0


def collapsed(symbol_BT: jax.Array, real_BT: jax.Array) -> jax.Array:
    """The string of a path of symbols: repeats merged, then blanks left out.

    `BLANK` fills what is left of the row. Graves et al., 2006, the best path of a
    connectionist temporal classifier.
    """
    before_BT = jnp.pad(symbol_BT, ((0, 0), (1, 0)), constant_values=BLANK)[:, :-1]
    kept_BT = (symbol_BT != BLANK) & (symbol_BT != before_BT) & real_BT
    place_BT = jnp.where(kept_BT, jnp.cumsum(kept_BT, axis=1) - 1, symbol_BT.shape[1])
    rows_B1 = jnp.arange(symbol_BT.shape[0])[:, None]
    return (
        jnp.full_like(symbol_BT, BLANK)
        .at[rows_B1, place_BT]
        .set(symbol_BT, mode="drop")
    )


def edits(found_BT: jax.Array, wanted_BL: jax.Array) -> jax.Array:
    """The fewest insertions, deletions and substitutions from one string to the other.

    Both end at their first `BLANK`. Levenshtein, 1966; T steps over rows of L + 1.
    """
    length = wanted_BL.shape[1]
    column_1L = jnp.arange(length + 1)[None]

    def symbol(row_BL, found_B):
        differs_BL = (wanted_BL != found_B[:, None]).astype(jnp.int32)
        cheapest_BL = jnp.minimum(row_BL[:, 1:] + 1, row_BL[:, :-1] + differs_BL)
        first_B1 = row_BL[:, :1] + 1
        # An insertion costs one more than the entry before: a running minimum of
        # costs from which their column is taken.
        free_BL = jnp.concatenate([first_B1, cheapest_BL], axis=1) - column_1L
        next_BL = jax.lax.cummin(free_BL, axis=1) + column_1L
        return jnp.where((found_B == BLANK)[:, None], row_BL, next_BL), None

    start_BL = jnp.broadcast_to(column_1L, (found_BT.shape[0], length + 1))
    row_BL, _ = jax.lax.scan(symbol, start_BL, found_BT.T)
    count_B1 = jnp.sum(wanted_BL != BLANK, axis=1, keepdims=True)
    return jnp.take_along_axis(row_BL, count_B1, axis=1)[:, 0]
