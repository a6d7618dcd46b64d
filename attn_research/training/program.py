"""The program of a config: `init`, `advance` and `evaluate` of a whole population.

`make(config)` turns a static config into pure functions. One member's step is written
once; `population.over_members` runs it for all. A member that diverges (a number is not
finite) is frozen in its last state and affects no other member: clipping, the optimizer
and the check are inside the member's own step.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import AbstractMesh, Mesh

from attn_research import plugins, tasks
from attn_research.config import Config, Start, Train
from attn_research.config.mesh import spelled
from attn_research.hypers import OPTIMIZERS, Hypers, optimizer
from attn_research.losses import METRICS, own
from attn_research.modules import models, pattern
from attn_research.modules.contract import Cost
from attn_research.ops.platform import on
from attn_research.options import INT_MAX, BadInput, unknown
from attn_research.options.specs import parse
from attn_research.pure import Functional, Params
from attn_research.tasks import contract
from attn_research.tasks.contract import Batch
from attn_research.training import mesh, metrics
from attn_research.training.gradients import (
    Lesson,
    begun,
    gradient,
    learner,
    stepped,
)
from attn_research.training.population import (
    DIVERGED,
    RUNNING,
    default_execution,
    over_members,
)
from attn_research.training.predictions import evaluation_batch, measured
from attn_research.transfer import start, trunk

DATA, INIT, DROPOUT, ORDER = range(4)


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

    init(hypers_P, trunk) -> members_P                  from `transfer.start`'s trunk;
                                                        {}: all at random
    advance(members_P, (arrays, count)) -> members_P    `count` more steps
    evaluate(members_P, (arrays, testing)) -> Sums_P    fixed batches of test, else of
                                                        validation
    """

    config: Config
    onto: Any  # the mesh of devices
    task: tasks.Task
    spec: tasks.Spec  # the task's, with the metrics that the config adds
    sizes: models.Sizes
    model: Functional
    init: Callable[[Hypers, Any], Member]
    advance: Callable[[Member, Any], Member]
    evaluate: Callable[[Member, Any], metrics.Sums]


def cost(config: Config) -> Cost:
    """Parameters, forward FLOPs and decoding state of a model, for one sequence."""
    task = tasks.make(config.task)
    return models.cost(config.model, sizes(task))


def resolve(config: Config) -> Config:
    """The config with every option of its task and mixers written out.

    The checkpoint that it starts from is resolved too. Raises `BadInput` if the model
    cannot be built or its parts do not fit.
    """
    model = config.model
    model = dataclasses.replace(
        model,
        pattern=pattern.resolve(model.pattern),
        stem=pattern.resolve(model.stem) if model.stem else None,
    )
    train = dataclasses.replace(config.train, mesh=spelled(config.train.mesh))
    task = tasks.resolve(config.task)
    resolved = dataclasses.replace(config, task=task, model=model, train=train)
    if config.train.optimizer not in OPTIMIZERS:
        raise unknown("optimizer", config.train.optimizer, OPTIMIZERS)
    spec = reported(resolved)
    reads = spec.per_sequence or spec.source_features or spec.target == "string"
    if model.strides and not reads:
        raise BadInput(
            f"model.strides is {','.join(map(str, model.strides))}; it must be empty "
            "in a task with an answer at every position"
        )
    tokens = config.train.batch * spec.length
    if tokens > INT_MAX:
        raise BadInput(
            f"train.batch is {config.train.batch} and the length {spec.length}, "
            f"together {tokens} tokens; a batch must have at most {INT_MAX}"
        )
    # A path through equal symbols has a blank between any two.
    positions = -(-spec.length // math.prod(model.strides or (1,)))
    if positions < 2 * spec.symbols - 1:
        raise BadInput(
            f"The task has strings of up to {spec.symbols} symbols, of which model."
            f"strides leaves {positions} positions; it must leave at least "
            f"{2 * spec.symbols - 1}"
        )
    mesh.check(config.train)
    if config.train.data == "host" and not spec.stored:
        raise BadInput(
            f"train.data is host, and {parse(resolved.task)[0]} has no text that stays "
            "in its files; it must be auto or device"
        )
    cost(resolved)  # builds the shapes
    if resolved.init == Start():
        return resolved
    network = models.build(model, sizes(tasks.make(resolved.task)))
    return dataclasses.replace(resolved, init=start.resolve(resolved, network))


def reported(config: Config) -> tasks.Spec:
    """The spec of the task, with the metrics that the config adds.

    Raises `BadInput` for one that is unknown or of another kind of target.
    """
    spec = tasks.make(config.task).spec
    more = config.train.metrics or ()
    for name in more:
        if name not in METRICS:
            raise unknown("metric of a plugin", name, METRICS)
    metrics = tuple(dict.fromkeys([*spec.metrics, *more]))
    for name in own(metrics):
        kind = METRICS[name].target
        if kind != spec.target:
            raise BadInput(
                f"The metric {name} is of targets of kind {kind} and the task has "
                f"{spec.target}; they must be of one kind"
            )
    return dataclasses.replace(spec, metrics=metrics)


def plugged(config: Config) -> dict[str, dict[str, str]]:
    """The plugins that a config needs, as `plugins.used` names them.

    A task of ours has metrics of ours: it is not made, which may take its data set.
    """
    network, train = config.model, config.train
    patterns = [network.pattern, *([network.stem] if network.stem else [])]
    mixers = [name for text in patterns for name, _ in pattern.choices(text)]
    task = ("TASKS", parse(config.task)[0])
    metrics = reported(config).metrics if plugins.used([task]) else train.metrics or ()
    return plugins.used(
        [
            task,
            ("OPTIMIZERS", train.optimizer),
            *(("MIXERS", name) for name in mixers),
            *(("METRICS", name) for name in metrics),
        ]
    )


def data_key(train: Train, seed: Any, step: Any) -> jax.Array:
    """The key by which the batch of a step is drawn, from the seed and the step."""
    root, at = jax.random.key(seed), step
    if train.distinct_batches:
        epoch, at = jnp.divmod(step, train.distinct_batches)
        order_key = jax.random.fold_in(jax.random.fold_in(root, ORDER), epoch)
        at = jax.random.permutation(order_key, train.distinct_batches)[at]
    return jax.random.fold_in(jax.random.fold_in(root, DATA), at)


def sizes(task: tasks.Task) -> models.Sizes:
    """The sizes of a model that its task determines."""
    spec = task.spec
    return models.Sizes(*(getattr(spec, name) for name in models.Sizes._fields))


def make(
    config: Config, onto: Mesh | AbstractMesh, platform: str | None = None
) -> Program:
    """The program of a resolved config on a mesh of devices.

    It is traced for the `platform` (see `ops.platform`); None: for this machine.
    """
    execution = config.train.execution
    if execution == "auto":
        with on(platform):
            execution = default_execution()
    task = tasks.make(config.task)
    spec, train = reported(config), config.train
    model = models.build(config.model, sizes(task))
    traits = trunk.shared(model, config.init)
    lesson = Lesson(spec, model, traits)
    random = config.model.dropout, config.model.embed_dropout, config.model.spread

    def init(hypers: Hypers, given: Params) -> Member:
        root = jax.random.key(hypers.seed)
        initial = model.init(jax.random.fold_in(root, INIT))
        params = mesh.kept(trunk.started(initial, given), onto)
        state = begun(optimizer(hypers, train, traits), params, train)
        return Member(
            params=params,
            optimizer=mesh.kept(state, onto),
            step=jnp.zeros((), jnp.int32),
            status=jnp.full((), RUNNING, jnp.int32),
            loss_sum=jnp.zeros((), jnp.float32),
            hypers=hypers,
        )

    def draw(seed: Any, step: jax.Array, arrays: Any) -> tuple[Batch, Any]:
        root, key = jax.random.key(seed), None
        if any(random):
            key = jax.random.fold_in(jax.random.fold_in(root, DROPOUT), step)
        batch = task.batch(data_key(train, seed, step), "train", train.batch, arrays)
        return batch, key

    def step(member: Member, arrays: Any) -> Member:
        current = learner(member.params, member.optimizer)
        given = member.hypers.seed, member.step, arrays
        loss, grads = gradient(lesson, draw, current, given, onto, train.accumulate)
        transform = optimizer(member.hypers, train, traits)
        before = member.params, member.optimizer
        after = stepped(transform, grads, *before, train, member.step)
        params, state = mesh.kept(after, onto)
        # A sum of squares is finite only if every number is.
        finite = jnp.isfinite(loss) & jnp.isfinite(optax.tree.norm(grads))
        finite &= jnp.isfinite(optax.tree.norm(params))
        moved = member._replace(
            params=params,
            optimizer=state,
            step=member.step + 1,
            loss_sum=member.loss_sum + loss,
        )
        frozen = member._replace(status=jnp.full_like(member.status, DIVERGED))
        return jax.tree.map(lambda new, old: jnp.where(finite, new, old), moved, frozen)

    def advance(member: Member, shared: Any) -> Member:
        arrays, count = shared
        end = jnp.minimum(member.step + count, train.steps)
        return jax.lax.while_loop(
            lambda now: (now.status == RUNNING) & (now.step < end),
            lambda now: step(now, arrays),
            member,
        )

    def sums(params: Params, arrays: Any, testing: jax.Array) -> Any:
        split = 1 + testing.astype(jnp.int32)

        def add(index: jax.Array, total: metrics.Sums) -> metrics.Sums:
            batch = evaluation_batch(task, split, index, train.batch, arrays)
            more = measured(spec, model, params, mesh.own(batch, onto))
            return jax.tree.map(jnp.add, total, more)

        count = jnp.where(testing, train.test_batches, train.eval_batches)
        if contract.finite(task):
            whole = -(-task.count(split, arrays) // train.batch)
            count = jnp.where(testing, whole, jnp.minimum(whole, count))
        nothing = metrics.nothing(
            spec.length, spec.target, spec.outputs, len(spec.groups), spec.metrics
        )
        return jax.lax.fori_loop(0, count, add, nothing), None

    def measure(member: Member, shared: Any) -> metrics.Sums:
        return mesh.by_rows(sums, onto, member.params, *shared)[0]

    return Program(
        config=config,
        onto=onto,
        task=task,
        spec=spec,
        sizes=sizes(task),
        model=model,
        init=over_members(init, execution, onto, platform),
        advance=over_members(advance, execution, onto, platform),
        evaluate=over_members(measure, execution, onto, platform),
    )
