"""Steps: of every optimizer, in parts of a batch, averaged, at a member's own rate."""

import dataclasses
import functools

import jax
import numpy as np
import pytest
from jax.sharding import Mesh

from attn_research.config import Config, Model, Population, Train
from attn_research.hypers import OPTIMIZERS, grid
from attn_research.options import BadInput
from attn_research.training import program
from attn_research.training.gradients import Averaged

# Rows of different numbers of labels, so that a mean of means is another mean.
RECALL = "recall(length=32,pairs=4,vocabulary=32)"
SIGNAL = "dyck(length=24)"


@functools.cache
def made(task=RECALL, execution="map", **train):
    model = Model(pattern="conv", width=16, layers=1)
    settings = Train(
        steps=40, batch=8, warmup=0.0, schedule="constant", execution=execution
    )
    return program.make(
        program.resolve(Config(task, model, dataclasses.replace(settings, **train))),
        Mesh(np.array(jax.devices()[:1]), ("P",)),
    )


@functools.cache
def programs(**options):
    one = made(**options)
    return jax.jit(one.init), jax.jit(one.advance)


def after(steps, lr=(1e-2,), **options):
    init, advance = programs(**options)
    members_P = init(grid(Population(seed=(0,), lr=lr)), {})
    return jax.device_get(advance(members_P, ((), np.int32(steps))))


def apart(first, second):
    return max(
        float(np.abs(a - b).max())
        for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True)
    )


@pytest.mark.parametrize("task", [RECALL, SIGNAL])
def test_parts_of_a_batch_make_the_step_of_the_whole(task):
    whole = after(3, task=task)
    for parts in (2, 8):
        summed = after(3, task=task, accumulate=parts)
        assert apart(whole.params, summed.params) < 2e-5
        np.testing.assert_allclose(whole.loss_sum, summed.loss_sum, rtol=1e-5)


def test_parts_take_the_memory_of_one():
    def temporary(parts):
        one = made(
            "recall(length=256,pairs=4,vocabulary=32)", batch=64, accumulate=parts
        )
        members_P = jax.eval_shape(one.init, grid(Population()), {})
        lowered = jax.jit(one.advance).lower(members_P, ((), np.int32(1)))
        return lowered.compile().memory_analysis().temp_size_in_bytes

    assert temporary(8) < 0.25 * temporary(1)


def test_what_is_kept_is_the_average_of_what_learns():
    want, learned = None, []
    for steps in range(5):
        averaged = after(steps, average=0.9)
        assert isinstance(averaged.optimizer, Averaged)
        learned.append(averaged.optimizer.params)
        if want is None:
            want = learned[0]
        else:
            decay = min(0.9, (1 + steps - 1) / (10 + steps - 1))
            want = jax.tree.map(
                lambda mean, new, decay=decay: decay * mean + (1 - decay) * new,
                want,
                learned[-1],
            )
        assert apart(want, averaged.params) < 1e-6
    assert apart(learned[-1], after(4).params) < 1e-6, (
        "the average has changed training"
    )


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_each_member_learns_at_its_own_rate_under_every_optimizer(name):
    lr = {"sgd": 0.3, "lion": 1e-3}.get(name, 1e-2)
    both = after(40, lr=(lr, lr / 100), optimizer=name, execution="vmap")
    turned = after(40, lr=(lr / 100, lr), optimizer=name, execution="vmap")
    first = after(1, lr=(lr, lr / 100), optimizer=name, execution="vmap")
    mean_P = both.loss_sum / both.step
    assert np.isfinite(mean_P).all() and mean_P[0] < 0.97 * first.loss_sum[0]
    assert mean_P[0] < mean_P[1], "a hundredth of the rate learns as much"
    again = jax.tree.map(lambda leaf: leaf[::-1], turned.params)
    assert apart(both.params, again) < 1e-6, "a member depends on its neighbour"


def test_a_batch_that_does_not_divide_is_refused():
    with pytest.raises(BadInput, match="must divide into parts of equal size"):
        made(accumulate=3)
