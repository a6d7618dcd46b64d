"""The loss of a batch with its gradient, and the parameters that a step makes of it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from attn_research import tasks
from attn_research.config import Train
from attn_research.hypers import learning
from attn_research.losses import losses
from attn_research.pure import Functional, Params
from attn_research.tasks.contract import Batch
from attn_research.training import mesh, metrics
from attn_research.training.predictions import predict


class Averaged(NamedTuple):
    """The state of an optimizer whose steps are averaged: see `stepped`."""

    params: Params  # those that learn; the member's are their average
    inner: Any


class Lesson(NamedTuple):
    """What a gradient is of: a task's spec, a model, and how its parameters learn."""

    spec: tasks.Spec
    model: Functional
    traits: Any

    def __call__(
        self, params: Params, batch: Batch, key: jax.Array | None
    ) -> tuple[jax.Array, jax.Array]:
        """The loss at every labelled position of a batch, and the weights of these."""
        learned = learning(params, self.traits)
        outputs, labelled, _ = predict(self.spec, self.model, learned, batch, key)
        loss, _ = losses(
            outputs,
            labelled.targets,
            self.spec.target,
            batch.segments,
            weights=labelled.weights,
        )
        return loss, labelled.weights


def gradient(
    lesson: Lesson,
    draw: Callable[..., tuple[Batch, jax.Array | None]],
    params: Params,
    given: tuple[Any, ...],
    onto: Any,
    parts: int = 1,
) -> tuple[jax.Array, Params]:
    """The mean loss over the labelled positions of a batch, and its gradient.

    The batch, and the key of its dropout or None, are `draw(*given)`. With `parts`
    above 1 the rows of the batch are seen in as many equal parts, one after another:
    the same mean but for rounding, in the memory of one part. On a mesh of several
    devices for a member, each of them sees its own rows so. Each part, and each device,
    draws dropout of its own.
    """
    if parts == 1 and not mesh.divides(onto):
        batch, key = draw(*given)

        def mean(params: Params) -> jax.Array:
            return metrics.mean(*lesson(params, batch, key))

        return jax.value_and_grad(mean)(params)

    def added(params: Params, *given: Any) -> tuple[Any, Params]:
        batch, key = draw(*given)
        if key is not None and mesh.divides(onto):
            key = jax.random.fold_in(key, mesh.index(onto))
        return _added(lesson, params, mesh.own(batch, onto), key, parts)

    (loss, weight), grads = mesh.by_rows(added, onto, params, *given, graded=True)
    weight = jnp.maximum(weight, 1e-9)
    return loss / weight, jax.tree.map(lambda leaf: leaf / weight, grads)


def _added(
    lesson: Lesson, params: Params, batch: Batch, key: jax.Array | None, parts: int
) -> tuple[Any, Params]:
    """The sums of the weighted loss and of the weights, and the gradient of the first.

    The rows are seen in `parts`.
    """

    def total(
        params: Params, part: Batch, key: jax.Array | None
    ) -> tuple[jax.Array, jax.Array]:
        loss, weights = lesson(params, part, key)
        return jnp.sum(loss * weights), jnp.sum(weights)

    graded = jax.value_and_grad(total, has_aux=True)
    if parts == 1:
        return graded(params, batch, key)

    def add(carry: Any, given: tuple[Any, Batch]) -> tuple[Any, None]:
        index, part = given
        own = None if key is None else jax.random.fold_in(key, index)
        (loss, weight), grads = graded(params, part, own)
        return jax.tree.map(jnp.add, carry, (loss, weight, grads)), None

    rows = jax.tree.map(
        lambda leaf: leaf.reshape(parts, leaf.shape[0] // parts, *leaf.shape[1:]), batch
    )
    nothing = jnp.zeros(()), jnp.zeros(()), jax.tree.map(jnp.zeros_like, params)
    (loss, weight, grads), _ = jax.lax.scan(add, nothing, (jnp.arange(parts), rows))
    return (loss, weight), grads


def begun(transform: optax.GradientTransformation, params: Params, train: Train) -> Any:
    """The state of an optimizer before its first step."""
    inner = transform.init(params)
    return Averaged(params, inner) if train.average else inner


def learner(params: Params, state: Any) -> Params:
    """The parameters at which a member of these parameters takes its gradient."""
    return state.params if isinstance(state, Averaged) else params


def stepped(
    transform: optax.GradientTransformation,
    grads: Params,
    params: Params,
    state: Any,
    train: Train,
    step: jax.Array,
) -> tuple[Params, Any]:
    """Parameters and state after a step, from the gradient at `learner`'s parameters.

    With `train.average` a member's parameters, which are evaluated, kept and loaded,
    are the exponential moving average of those that learn (Polyak & Juditsky, 1992,
    doi:10.1137/0330046). Its decay rises to `train.average` as (1 + n) / (10 + n) with
    the number n of steps, so that the initial values are forgotten.
    """
    current = learner(params, state)
    inner = state.inner if isinstance(state, Averaged) else state
    with jax.numpy_dtype_promotion("standard"):  # optax mixes counts and rates
        updates, inner = transform.update(grads, inner, current)
        moved: Any = optax.apply_updates(current, updates)
    if not isinstance(state, Averaged):
        return moved, inner
    number = step.astype(jnp.float32)
    decay = jnp.minimum(train.average, (1 + number) / (10 + number))
    mean = jax.tree.map(lambda old, new: new + decay * (old - new), params, moved)
    return mean, Averaged(moved, inner)
