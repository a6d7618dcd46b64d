"""What a config compiles to: `init`, `advance` and `evaluate` of a whole population.

`make(config)` turns a static config into pure functions. One member's step is written
once; `population.over_members` runs it for all. A member that diverges (a number that
is not finite) is frozen as it was before, and no other member sees it: clipping, the
optimizer and the check are inside the member's own step.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from attn_research import evaluate, source, tasks, transfer
from attn_research.config import Config, Start
from attn_research.functional import Functional, Params
from attn_research.hypers import Hypers, learning, optimizer
from attn_research.losses import hits, losses
from attn_research.modules import models, pattern
from attn_research.modules.contract import Cost
from attn_research.options import BadInput
from attn_research.population import (
    DIVERGED,
    RUNNING,
    default_execution,
    over_members,
)
from attn_research.tasks.contract import Batch, finite

DATA, INIT, DROPOUT, ORDER = range(4)
EVALUATION = 0


class Member(NamedTuple):
    """The whole state of one member, or with a leading axis P of a population."""

    params: Params
    optimizer: Any
    step: jax.Array
    status: jax.Array
    loss_sum: jax.Array
    hypers: Hypers


class Program(NamedTuple):
    """Pure functions on a population P; see `make`.

    init(hypers_P, trunk) -> members_P                  `trunk` of `source`, {} to draw
                                                        everything
    advance(members_P, (arrays, count)) -> members_P    `count` more steps
    evaluate(members_P, (arrays, testing)) -> Sums_P    fixed batches of test, or
                                                        else of validation
    """

    config: Config
    task: tasks.Task
    sizes: models.Sizes
    model: Functional
    init: Callable[[Hypers, Any], Member]
    advance: Callable[[Member, Any], Member]
    evaluate: Callable[[Member, Any], evaluate.Sums]


def cost(config: Config) -> Cost:
    """Parameters, forward FLOPs and decoding state of a model, for one sequence."""
    task = tasks.make(config.task)
    return models.cost(config.model, sizes(task))


def resolve(config: Config) -> Config:
    """The config with every option of its task and mixers written out.

    So is the checkpoint that it starts from. Raises `BadInput` where the model cannot
    be built or its parts do not fit.
    """
    model = config.model
    model = dataclasses.replace(
        model,
        pattern=pattern.resolve(model.pattern),
        stem=pattern.resolve(model.stem) if model.stem else None,
    )
    resolved = dataclasses.replace(config, task=tasks.resolve(config.task), model=model)
    spec = tasks.make(resolved.task).spec
    reads = spec.per_sequence or spec.source_features or spec.target == "string"
    if model.strides and not reads:
        raise BadInput(
            f"model.strides is {','.join(map(str, model.strides))} and the task has an "
            "answer at every position; strides are allowed where a sequence has one, "
            "or is read by a decoder"
        )
    cost(resolved)  # builds the shapes
    if resolved.init == Start():
        return resolved
    network = models.build(model, sizes(tasks.make(resolved.task)))
    return dataclasses.replace(resolved, init=source.resolve(resolved, network))


def sizes(task: tasks.Task) -> models.Sizes:
    """What a task fixes of its model."""
    spec = task.spec
    return models.Sizes(*(getattr(spec, name) for name in models.Sizes._fields))


def predict(
    spec: tasks.Spec,
    model: Functional,
    params: Params,
    batch: Batch,
    key: jax.Array | None,
) -> tuple[jax.Array, Batch, jax.Array]:
    """Outputs, the batch, and positions, at labelled positions only.

    The head is often half of a step, so it is evaluated where `weights` is not zero.
    """
    before, after = (batch.inputs,), (batch.segments, key)
    if batch.source is not None:
        before = batch.source, batch.inputs
        after = batch.source_segments, batch.segments, key
    if batch.weights.ndim == 1:
        outputs = model.apply(params, *before, *after)
        end_B = jnp.sum((batch.segments > 0).astype(jnp.int32), axis=1) - 1
        return outputs, batch, end_B
    index_BL = jnp.broadcast_to(
        jnp.arange(batch.weights.shape[1])[None], batch.weights.shape
    )
    if spec.labels >= batch.weights.shape[1]:
        return model.apply(params, *before, *after), batch, index_BL
    # Weights that are constant would be sorted by the compiler, slowly.
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


def evaluated(
    task: tasks.Task, split: jax.Array, index: jax.Array, size: int, arrays: Any
) -> Batch:
    """The batch of a number among those of an evaluation.

    Drawn under a key of its own; of a finite split, the examples in their order, none
    twice: what fills up the last batch has no weight.
    """
    if not finite(task):
        key = jax.random.fold_in(jax.random.key(EVALUATION), index)
        return task.batch(key, split, size, arrays)
    count = task.count(split, arrays)
    number_B = index * size + jnp.arange(size)
    batch = task.examples(jnp.minimum(number_B, count - 1), split, arrays)
    real_B = (number_B < count).astype(batch.weights.dtype)
    real = real_B.reshape((size,) + (1,) * (batch.weights.ndim - 1))
    return batch._replace(weights=batch.weights * real)


def make(config: Config, onto: Mesh) -> Program:
    """The program of a resolved config on a mesh of devices."""
    execution = config.train.execution
    if execution == "auto":
        execution = default_execution()
    task = tasks.make(config.task)
    spec, train = task.spec, config.train
    model = models.build(config.model, sizes(task))
    traits = transfer.shared(model, config.init)
    chosen = config.model
    drawing = any((chosen.dropout, chosen.embed_dropout, chosen.spread))

    def init(hypers: Hypers, trunk: Params) -> Member:
        root = jax.random.key(hypers.seed)
        drawn = model.init(jax.random.fold_in(root, INIT))
        params = transfer.started(drawn, trunk)
        return Member(
            params=params,
            optimizer=optimizer(hypers, train, traits).init(params),
            step=jnp.zeros((), jnp.int32),
            status=jnp.full((), RUNNING, jnp.int32),
            loss_sum=jnp.zeros((), jnp.float32),
            hypers=hypers,
        )

    def draw(root: jax.Array, step: jax.Array, arrays: Any) -> Batch:
        if train.distinct_batches:
            epoch, at = jnp.divmod(step, train.distinct_batches)
            order_key = jax.random.fold_in(jax.random.fold_in(root, ORDER), epoch)
            step = jax.random.permutation(order_key, train.distinct_batches)[at]
        key = jax.random.fold_in(jax.random.fold_in(root, DATA), step)
        return task.batch(key, "train", train.batch, arrays)

    def step(member: Member, arrays: Any) -> Member:
        root = jax.random.key(member.hypers.seed)
        batch = draw(root, member.step, arrays)
        key = None
        if drawing:
            key = jax.random.fold_in(jax.random.fold_in(root, DROPOUT), member.step)

        def loss_of(params: Params) -> jax.Array:
            held = learning(params, traits)
            outputs, labelled, _ = predict(spec, model, held, batch, key)
            loss, _ = losses(outputs, labelled.targets, spec.target, batch.segments)
            return evaluate.mean(loss, labelled.weights)

        loss, grads = jax.value_and_grad(loss_of)(member.params)
        transform = optimizer(member.hypers, train, traits)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes counts and rates
            updates, state = transform.update(grads, member.optimizer, member.params)
            params = optax.apply_updates(member.params, updates)
        # A sum of squares is finite only where every number is.
        finite = jnp.isfinite(loss) & jnp.isfinite(optax.tree.norm(grads))
        finite &= jnp.isfinite(optax.tree.norm(params))
        moved = member._replace(
            params=params,
            optimizer=state,
            step=member.step + 1,
            loss_sum=member.loss_sum + loss,
        )
        kept = member._replace(status=jnp.full_like(member.status, DIVERGED))
        return jax.tree.map(lambda new, old: jnp.where(finite, new, old), moved, kept)

    def advance(member: Member, shared: Any) -> Member:
        arrays, count = shared
        end = jnp.minimum(member.step + count, train.steps)
        return jax.lax.while_loop(
            lambda now: (now.status == RUNNING) & (now.step < end),
            lambda now: step(now, arrays),
            member,
        )

    def measure(member: Member, shared: Any) -> evaluate.Sums:
        arrays, testing = shared
        split = 1 + testing.astype(jnp.int32)

        def add(index: jax.Array, total: evaluate.Sums) -> evaluate.Sums:
            batch = evaluated(task, split, index, train.batch, arrays)
            outputs, labelled, position = predict(
                spec, model, member.params, batch, None
            )
            loss, scores = losses(
                outputs, labelled.targets, spec.target, batch.segments, spec.longest
            )
            more = evaluate.sums(
                loss,
                scores,
                labelled.weights,
                labelled.gap,
                position,
                hits(outputs, labelled.targets, labelled.weights, spec.target),
                spec.length,
                labelled.bytes,
                labelled.group,
                len(spec.groups),
            )
            return jax.tree.map(jnp.add, total, more)

        count = jnp.where(testing, train.test_batches, train.eval_batches)
        if finite(task):
            whole = -(-task.count(split, arrays) // train.batch)
            count = jnp.where(testing, whole, jnp.minimum(whole, count))
        nothing = evaluate.nothing(
            spec.length, spec.target, spec.outputs, len(spec.groups)
        )
        return jax.lax.fori_loop(0, count, add, nothing)

    return Program(
        config=config,
        task=task,
        sizes=sizes(task),
        model=model,
        init=over_members(init, execution, onto),
        advance=over_members(advance, execution, onto),
        evaluate=over_members(measure, execution, onto),
    )
