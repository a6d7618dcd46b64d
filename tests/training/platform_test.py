"""A program for an accelerator is the program of a CPU in another form."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_research import hypers, tasks
from attn_research.config import Config, Model, Train
from attn_research.ops import dense
from attn_research.testing import LawBroken, check_task
from attn_research.training import population, program

SHORT = Train(steps=3, batch=4, eval_batches=1)
SMALL = Model(width=16, layers=4, pattern="dense(heads=2),window(window=4),linear,gru")


def begun(task: str, platform: str | None, model: Model = SMALL):
    """The program and its population of two before the first step."""
    onto = population.mesh()
    config = program.resolve(Config(task, model, SHORT))
    made = program.make(config, onto, platform=platform)
    hypers_P = hypers.Hypers(jnp.arange(2), jnp.full(2, 1e-2), jnp.zeros(2))
    return made, made.init, population.place(hypers_P, onto)


def trained(task: str, platform: str | None) -> program.Member:
    """Two members after three steps."""
    made, init, hypers_P = begun(task, platform)
    members_P = jax.jit(init)(hypers_P, {})
    return jax.jit(made.advance)(members_P, (made.task.arrays(), jnp.int32(3)))


@pytest.mark.slow
@pytest.mark.parametrize("task", ["recall(length=24,pairs=4)", "parity(length=12)"])
def test_both_forms_learn_the_same(task):
    here, there = trained(task, None), trained(task, "cuda")
    np.testing.assert_array_equal(there.step, here.step)
    np.testing.assert_allclose(there.loss_sum, here.loss_sum, rtol=2e-4)
    for one, two in zip(
        jax.tree.leaves(there.params), jax.tree.leaves(here.params), strict=True
    ):
        np.testing.assert_allclose(one, two, rtol=1e-2, atol=2e-3)


@pytest.mark.parametrize(
    ("task", "platform", "segments"),
    [
        ("recall(length=24,pairs=4)", None, True),
        ("recall(length=24,pairs=4)", "cuda", False),
        ("parity(length=12)", "cuda", True),
    ],
)
def test_a_task_of_whole_rows_asks_for_attention_without_segments(
    task, platform, segments, monkeypatch
):
    asked, choose = [], dense.choose

    def listening(q, k, v, mask, source_BS, plain):
        asked.append(source_BS is not None)
        return choose(q, k, v, mask, source_BS, plain)

    monkeypatch.setattr(dense, "choose", listening)
    made, init, hypers_P = begun(task, platform, dataclasses.replace(SMALL, layers=1))
    members_P = jax.eval_shape(init, hypers_P, {})
    jax.eval_shape(made.advance, members_P, (made.task.arrays(), jnp.int32(3)))
    assert set(asked) == {segments}


def test_another_platform_is_one_sentence():
    config = program.resolve(Config("recall(length=24,pairs=4)", SMALL, SHORT))
    with pytest.raises(ValueError, match="platform is gpu; it must be one of cpu"):
        program.make(config, population.mesh(), platform="gpu")


def test_a_task_that_pads_may_not_call_its_rows_whole():
    padded: Any = tasks.make("parity(length=12)")
    whole = dataclasses.replace(padded.spec, whole=True)
    wrong: Any = type("Wrong", (type(padded),), {"spec": whole})
    with pytest.raises(LawBroken, match="a segment is not 1"):
        check_task(wrong(length=12), "inputs")
    check_task(tasks.make("recall(length=24,pairs=4)"), "inputs")
