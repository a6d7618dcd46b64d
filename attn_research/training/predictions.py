"""What a model predicts on a batch, how well, and the batches of an evaluation."""

from typing import Any

import jax
import jax.numpy as jnp

from attn_research import tasks
from attn_research.losses import METRICS, hits, losses, own
from attn_research.ops.platform import accelerated
from attn_research.pure import Functional, Params
from attn_research.tasks import contract
from attn_research.tasks.contract import Batch
from attn_research.tasks.parts.shuffled import shuffled
from attn_research.training import metrics

EVALUATION = 0  # the seed of the batches


def predict(
    spec: tasks.Spec,
    model: Functional,
    params: Params,
    batch: Batch,
    key: jax.Array | None,
) -> tuple[jax.Array, Batch, jax.Array]:
    """Outputs, the batch, and positions, at labelled positions only.

    The head is often half of a step, so it runs only where `weights` is not zero.
    """
    segments = None if spec.whole and accelerated() else batch.segments
    before, after = (batch.inputs,), (segments, key)
    if batch.source is not None:
        before = batch.source, batch.inputs
        after = batch.source_segments, segments, key
    if batch.weights.ndim == 1:
        outputs = model.apply(params, *before, *after)
        end_B = jnp.sum((batch.segments > 0).astype(jnp.int32), axis=1) - 1
        return outputs, batch, end_B
    index_BL = jnp.broadcast_to(
        jnp.arange(batch.weights.shape[1])[None], batch.weights.shape
    )
    if spec.labels >= batch.weights.shape[1]:
        return model.apply(params, *before, *after), batch, index_BL
    # The compiler would sort constant weights itself, slowly.
    weights_BT = jax.lax.optimization_barrier(batch.weights)
    index_BL = jax.lax.top_k(weights_BT, spec.labels)[1]

    def pick(array: jax.Array) -> jax.Array:
        at = index_BL.reshape(index_BL.shape + (1,) * (array.ndim - 2))
        return jnp.take_along_axis(array, at, axis=1)

    outputs = model.apply(params, *before, index_BL, *after, method="at")
    picked = batch._replace(
        targets=pick(batch.targets),
        weights=pick(batch.weights),
        gap=pick(batch.gap),
        bytes=None if batch.bytes is None else pick(batch.bytes),
    )
    return outputs, picked, index_BL


def evaluation_key(index: Any) -> jax.Array:
    """The key of batch number `index` of an evaluation."""
    return jax.random.fold_in(jax.random.key(EVALUATION), index)


def evaluation_batch(
    task: tasks.Task, split: jax.Array, index: jax.Array, size: int, arrays: Any
) -> Batch:
    """Batch number `index` of an evaluation.

    A generated batch has a key of its own. A finite split gives its examples in one
    fixed random order, each once: files are often sorted by class or by time, so that
    the first rows of a split would be a sample of one class. The examples that fill up
    the last batch have no weight.
    """
    if not contract.finite(task):
        return task.batch(evaluation_key(index), split, size, arrays)
    count = task.count(split, arrays)
    number_B = index * size + jnp.arange(size)
    example_B = shuffled(jnp.minimum(number_B, count - 1), count)
    batch = task.examples(example_B, split, arrays)
    real_B = (number_B < count).astype(batch.weights.dtype)
    real = real_B.reshape((size,) + (1,) * (batch.weights.ndim - 1))
    return batch._replace(weights=batch.weights * real)


def measured(
    spec: tasks.Spec, model: Functional, params: Params, batch: Batch
) -> metrics.Sums:
    """The sums of loss and scores over a batch that a model predicts."""
    outputs, labelled, position = predict(spec, model, params, batch, None)
    loss, scores = losses(
        outputs,
        labelled.targets,
        spec.target,
        batch.segments,
        spec.longest,
        labelled.weights,
    )
    more = [
        METRICS[name].score(outputs, labelled.targets).astype(loss.dtype)[None]
        for name in own(spec.metrics)
    ]
    scored = metrics.Scored(
        loss=loss,
        scores=jnp.concatenate([scores, *more]) if more else scores,
        weights=labelled.weights,
        gap=labelled.gap,
        position=position,
        hits_3V=hits(outputs, labelled.targets, labelled.weights, spec.target),
        bytes=labelled.bytes,
        group_B=labelled.group,
    )
    return metrics.sums(scored, spec.length, len(spec.groups))
