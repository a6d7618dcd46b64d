"""Sizes beyond every memory are refused in a sentence before anything is allocated."""

import time
import typing
from dataclasses import fields

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_research import tasks
from attn_research.options import INT_MAX, BadInput

SIZES = (INT_MAX, 10**9, 10**12, 10**6, 0, -1)
POOLS = ("listops", "pathfinder")
SECONDS = 20  # for all options of a task, also on a busy machine


def generated(task):
    return not (tasks.noted(task) or tasks.completing(task))


@pytest.mark.parametrize("name", tasks.TASKS)
def test_any_number_is_refused_or_taken_at_once(name):
    """Up to the shapes of a batch; memory is left to the check before a run."""
    cls = tasks.TASKS[name]
    hints = typing.get_type_hints(cls)
    begun, refused = time.process_time(), 0
    for field in fields(cls):
        if hints[field.name] not in (int, int | None):
            continue
        for size in SIZES:
            try:
                task = tasks.make(f"{name}({field.name}={size})")
            except BadInput as error:
                assert "\n" not in str(error) and "must" in str(error)
                refused += 1
                continue
            assert size <= 2**24 or "seed" in field.metadata["help"].lower()
            if name in POOLS or hasattr(task, "data") or name == "code":
                continue
            arrays = jax.tree.map(jnp.asarray, task.arrays())
            key = jax.random.key(0)
            batch = jax.eval_shape(
                lambda k, t=task, a=arrays: t.batch(k, "test", 2, a), key
            )
            assert batch.inputs.shape[1] == task.spec.length
    assert refused or not any(kind is int for kind in hints.values())
    assert time.process_time() - begun < SECONDS


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("listops(depth=999999)", "with up to 10 arguments it must be at most 16"),
        ("listops(depth=999999,arguments=6)", "it must be at most 1"),
        ("listops(examples=10000000)", "must be at most 4294967"),
        ("pathfinder(examples=10000000)", "must be at most 2097151"),
        ("modular_arithmetic(brackets=true,test_length=9999)", "at most 4096"),
    ],
)
def test_sizes_that_only_together_are_too_large(spec, words):
    with pytest.raises(BadInput, match=words):
        tasks.make(spec)


def test_a_deep_forest_of_few_arguments_ends_when_all_are_digits():
    task = tasks.make(
        "listops(depth=99999,arguments=2,length=40,shortest=4,examples=50,held_out=9)"
    )
    arrays = task.arrays()
    assert np.diff(arrays["starts"]).min() >= 4 and len(arrays["values"]) == 68
