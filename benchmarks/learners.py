"""Our side of `learning.py`: a small model of a mixer, trained, and the comparison."""

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple


class Setting(NamedTuple):
    """How a model is trained; the same for both sides."""

    task: str
    pattern: str
    positions: str
    steps: int
    width: int = 32
    layers: int = 2
    batch: int = 32
    lr: float = 3e-3
    warmup: float = 0.1
    clip: float = 1.0
    test_batches: int = 16


class Trained(NamedTuple):
    """The training loss of each step, and the test loss and score of the last one."""

    losses: list[float]
    loss: float
    score: float


@functools.cache
def _maker(task: str, size: int, split: str) -> Any:
    """The batch of a seed and a number, compiled."""
    import jax

    from attn_research import tasks

    made = tasks.make(task)

    def make(seed: jax.Array, number: jax.Array) -> Any:
        key = jax.random.fold_in(jax.random.key(seed), number)
        return made.batch(key, split, size, made.arrays())

    return jax.jit(make)


def batches(setting: Setting, seed: int, split: str) -> Iterator[Any]:
    """The batches of a seed, in NumPy: one for each step, or those of the test."""
    import jax

    make = _maker(setting.task, setting.batch, split)
    count = setting.steps if split == "train" else setting.test_batches
    for number in range(count):
        yield jax.device_get(make(seed, number))


def rates(setting: Setting) -> list[float]:
    """The learning rate of each step."""
    import numpy as np

    from attn_research import hypers
    from attn_research.config import Train

    train = Train(steps=setting.steps, warmup=setting.warmup)
    relative = hypers.schedule(np.arange(setting.steps), train)
    return [setting.lr * float(rate) for rate in relative]


def model_of(setting: Setting) -> Any:
    """Our model, as pure functions."""
    from attn_research import tasks
    from attn_research.config import Model
    from attn_research.modules import models
    from attn_research.training import program

    described = Model(
        pattern=setting.pattern,
        layers=setting.layers,
        width=setting.width,
        positions=setting.positions,  # type: ignore
        tied=False,
    )
    return models.build(described, program.sizes(tasks.make(setting.task)))


class Learner(NamedTuple):
    """Compiled functions of a setting: of a seed, of parameters and a batch."""

    init: Any  # seed -> parameters
    first: Any  # parameters -> the state of the optimizer
    step: Any  # parameters, state, batch -> parameters, state, loss
    measure: Any  # parameters, batch -> loss, score


@functools.cache
def learner(setting: Setting) -> Learner:
    """Our side of a setting."""
    import jax
    import optax

    from attn_research import hypers, tasks
    from attn_research.config import Train
    from attn_research.losses import losses
    from attn_research.training import metrics

    model, target = model_of(setting), tasks.make(setting.task).spec.target
    own = hypers.Hypers(0, setting.lr, 0.0)
    train = Train(steps=setting.steps, warmup=setting.warmup, clip=setting.clip)
    transform = hypers.optimizer(own, train, model.traits)

    def measure(params: Any, batch: Any) -> tuple[jax.Array, jax.Array]:
        outputs = model.apply(params, batch.inputs, batch.segments)
        loss, scores = losses(
            outputs, batch.targets, target, batch.segments, weights=batch.weights
        )
        mean = metrics.mean(loss, batch.weights)
        return mean, metrics.mean(scores[0], batch.weights)

    def step(params: Any, state: Any, batch: Any) -> tuple[Any, Any, jax.Array]:
        (loss, _), slopes = jax.value_and_grad(measure, has_aux=True)(params, batch)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes counts and rates
            updates, state = transform.update(slopes, state, params)
            return optax.apply_updates(params, updates), state, loss

    def init(seed: jax.Array) -> Any:
        return model.init(jax.random.key(1000 + seed))

    return Learner(*map(jax.jit, (init, transform.init, step, measure)))


def start(setting: Setting, seed: int) -> Any:
    """The parameters that our model of a seed starts with."""
    return learner(setting).init(seed)


def ours(setting: Setting, seed: int) -> Trained:
    """Our model, trained and tested."""
    made, params = learner(setting), start(setting, seed)
    state, seen = made.first(params), []
    for batch in batches(setting, seed, "train"):
        params, state, loss = made.step(params, state, batch)
        seen.append(float(loss))
    tested = [made.measure(params, batch) for batch in batches(setting, seed, "test")]
    return Trained(seen, *(_mean(values) for values in zip(*tested, strict=True)))


def _mean(values: Sequence[Any]) -> float:
    return math.fsum(map(float, values)) / len(values)


def compared(
    first: Mapping[int, float], second: Mapping[int, float]
) -> dict[str, float]:
    """The mean of first - second over seeds with its 95 % interval."""
    from attn_research.analysis import statistics

    found = statistics.paired(first, second)
    return dict(zip(("mean", "low", "high"), found, strict=True))


def row(setting: Setting, score: str, sides: Mapping[str, Mapping[int, Trained]]):
    """The entry of a pair, or of a mixer alone: its setting and the test of each seed.

    With two sides, `difference` compares the first with the second.
    """
    entry: dict[str, Any] = {**setting._asdict(), "score": score}
    for side, seeds in sides.items():
        entry[side] = {
            str(seed): {"loss": trained.loss, score: trained.score}
            for seed, trained in seeds.items()
        }
    if len(sides) == 2:
        first, second = sides.values()
        entry["difference"] = {
            name: compared(
                {seed: getattr(trained, field) for seed, trained in first.items()},
                {seed: getattr(trained, field) for seed, trained in second.items()},
            )
            for name, field in (("loss", "loss"), (score, "score"))
        }
    return entry
