"""Train short, test long, through the program that trains and evaluates."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_research import tasks
from attn_research.config import Config, Population, edit
from attn_research.hypers import grid
from attn_research.modules import MIXERS, models
from attn_research.modules.contract import both_ways_only
from attn_research.pure import Functional
from attn_research.training import metrics, population, predictions, program

BASE = edit(
    Config(),
    {
        "task": "parity(length=6,test_length=40)",
        "model.pattern": "conv",
        "model.layers": 1,
        "model.width": 8,
        "train.batch": 64,
        "train.distinct_batches": 1,
        "train.schedule": "constant",
        "train.warmup": 0,
        "train.test_batches": 4,
    },
)
SEEDS = grid(Population(seed=(0, 1), lr=(1e-30,)))  # two, for two devices


def made(**changes) -> program.Program:
    config = program.resolve(edit(BASE, changes))
    return program.make(config, population.mesh())


def test_training_computes_nothing_at_the_length_of_the_test():
    built = made()
    members_P = jax.eval_shape(built.init, SEEDS, ())
    train = str(jax.make_jaxpr(built.advance)(members_P, ((), np.int32(1))))
    test = str(jax.make_jaxpr(built.evaluate)(members_P, ((), np.bool_(True))))
    assert "[64,6]" in train and "[64,40" not in train
    assert "[64,40]" in test


def test_the_length_curve_ends_at_training_lengths_in_validation_only():
    built = made()
    members_P = jax.jit(built.init)(SEEDS, ())
    measure = jax.jit(built.evaluate)
    reach = {}
    for testing in (False, True):
        sums = jax.tree.map(lambda a: a[0], measure(members_P, ((), np.bool_(testing))))
        names = built.task.spec.metrics
        by_gap = metrics.curve(sums.gap_RJ, names, "token", 40)
        # Every earlier bit matters: the distance is the position.
        assert by_gap == metrics.curve(sums.position_RJ, names, "token", 40)
        reach[testing] = by_gap["high"][-1]
    assert reach == {False: 7, True: 63}


@pytest.mark.parametrize(
    "name", sorted(name for name in MIXERS if not both_ways_only(MIXERS[name]))
)
def test_a_model_takes_shorter_sequences_than_it_is_built_for(name):
    task = tasks.make(BASE.task)
    config = edit(BASE, {"model.pattern": name, "model.positions": "learned"})
    model = models.build(config.model, program.sizes(task))
    batch = jax.eval_shape(lambda: task.batch(jax.random.key(0), "train", 3))
    params = jax.eval_shape(model.init, jax.random.key(0))
    outputs = jax.eval_shape(model.apply, params, batch.inputs, batch.segments)
    assert outputs.shape == (3, 6, 2)


def test_the_position_of_a_sequence_is_its_last_real_one():
    task = tasks.make("adding(length=16,causal=false)")
    model = Functional(None, lambda *_: jnp.zeros((3, 1)), None, {})  # type: ignore

    @jax.jit
    def ends():
        batch = task.batch(jax.random.key(0), "train", 3)
        real_BT = jnp.arange(16)[None] < jnp.array([[16], [1], [7]])
        batch = batch._replace(segments=real_BT.astype(jnp.int32))
        return predictions.predict(task.spec, model, {}, batch, None)[2]

    assert ends().tolist() == [15, 0, 6]


@pytest.mark.parametrize("spread", [0, 80])
def test_training_draws_the_positions_of_a_spread_anew_at_each_step(spread):
    """With one batch and no learning, the loss changes with the positions alone."""
    built = made(**{"model.positions": "sinusoid", "model.spread": spread})
    members_P = jax.jit(built.init)(SEEDS, ())
    losses = []
    for _ in range(3):
        before = float(members_P.loss_sum[0])
        members_P = jax.jit(built.advance)(members_P, ((), np.int32(1)))
        losses.append(round(float(members_P.loss_sum[0]) - before, 4))
    assert len(set(losses)) == (3 if spread else 1)
