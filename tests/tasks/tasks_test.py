"""The task contract, for every entry of `TASKS`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_research import tasks
from attn_research.options import BadInput
from attn_research.tasks import TASKS

SMALL = {
    "recall": "recall(length=32,pairs=4)",
    "mqar": "mqar(length=32,pairs=4,vocabulary=64)",
    "copying": "copying(lag=9,count=4)",
    "selective_copying": "selective_copying(length=32,count=4)",
    "adding": "adding(length=16)",
    "text": "text(length=32)",
    "parity": "parity(length=6,test_length=20)",
    "cycle_navigation": "cycle_navigation(length=6,test_length=20)",
    "group_word": "group_word(length=6,test_length=20,group=A4)",
    "modular_arithmetic": "modular_arithmetic(length=7,test_length=20)",
    "flip_flop": "flip_flop(length=8,test_length=20,ignore=0.4)",
    "dyck": "dyck(length=6,test_length=20)",
    "reverse": "reverse(length=6,test_length=20)",
    "bucket_sort": "bucket_sort(length=6,test_length=20)",
    "stack_manipulation": "stack_manipulation(length=6,test_length=20)",
}
MORE = [
    "adding(length=16,causal=false)",
    "recall(length=32,pairs=3,gap=2..9)",
    "parity(length=6,test_length=20,answers=last)",
    "modular_arithmetic(length=7,test_length=20,brackets=true)",
]


@pytest.fixture(scope="module")
def loaded():
    made = {spec: tasks.make(spec) for spec in [*SMALL.values(), *MORE]}
    return {
        spec: (task, jax.tree.map(jnp.asarray, task.arrays()))
        for spec, task in made.items()
    }


def test_every_task_is_tested():
    assert SMALL.keys() == TASKS.keys()


@pytest.mark.parametrize("spec", [*SMALL.values(), *MORE])
def test_a_batch_is_what_its_spec_says(spec, loaded):
    task, arrays = loaded[spec]
    want = task.spec
    train = jax.jit(lambda arrays: task.batch(jax.random.key(0), "train", 5, arrays))
    batch = train(arrays)
    length = batch.segments.shape[1]
    if length != want.length:  # trained short, tested long
        tested = jax.eval_shape(lambda: task.batch(jax.random.key(0), "test", 5))
        assert length < want.length == tested.segments.shape[1]
    per = (5,) if want.per_sequence else (5, length)
    assert batch.segments.shape == (5, length)
    assert batch.targets.shape == batch.weights.shape == batch.gap.shape == per
    if want.inputs == "tokens":
        assert batch.inputs.shape == (5, length)
        assert batch.inputs.dtype == jnp.int32
        assert 0 <= int(batch.inputs.min()) <= int(batch.inputs.max()) < want.features
    else:
        assert batch.inputs.shape == (5, length, want.features)
    if want.target != "value":
        assert 0 <= int(batch.targets.min()) <= int(batch.targets.max()) < want.outputs
    counted = np.asarray(batch.weights > 0).reshape(5, -1).sum(axis=1)
    assert 1 <= counted.min() and counted.max() <= want.labels
    gap = np.asarray(batch.gap)
    assert gap.min() >= -1 and gap.max() < want.length


@pytest.mark.parametrize("spec", [*SMALL.values(), *MORE])
def test_batches_are_a_function_of_key_and_split(spec, loaded):
    task, arrays = loaded[spec]

    @jax.jit
    def inputs(seed, split, arrays):
        return task.batch(jax.random.key(seed), split, 8, arrays).inputs

    drawn = [inputs(seed, at, arrays) for seed, at in ((0, 0), (0, 1), (0, 2), (1, 0))]
    np.testing.assert_array_equal(drawn[0], inputs(0, 0, arrays))
    named = jax.jit(lambda arrays: task.batch(jax.random.key(0), "test", 8, arrays))
    np.testing.assert_array_equal(drawn[2], named(arrays).inputs)
    for i, one in enumerate(drawn):
        for other in drawn[:i]:
            assert not np.array_equal(one, other)


def test_an_unknown_split_is_refused():
    with pytest.raises(BadInput, match="Unknown split 'dev'"):
        tasks.make("recall").batch(jax.random.key(0), "dev", 2)


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ("recal", "did you mean 'recall'"),
        ("recall(lenght=3)", "did you mean 'length'"),
        ("recall(length=64,pairs=8,gap=70)", "A gap of 70 with 8 pairs needs 86"),
        ("recall(gap=5..2)", "recall.gap is '5..2'"),
        ("recall(gap=0)", "recall.gap is '0'"),
        ("recall(pairs=40)", "has room for 32 pairs and queries"),
        ("recall(overwrites=9)", "at most every pair"),
        ("recall(vocabulary=10)", "4 keys and 5 values"),
        ("mqar(pairs=17)", "has room for 16 pairs"),
        ("selective_copying(length=8,count=5)", "has room for 4 symbols"),
        ("adding(length=-1)", "must be at least 2"),
        ("text(length=0)", "must be at least 1"),
        ("parity(test_length=39)", "its test_length is 39; 40 or more is allowed"),
        ("dyck(length=400)", "its test_length is 320"),
        ("parity(answers=first)", "allowed are every, last"),
        ("group_word(group=D4)", "Zn, Sn, An and products of them such as A4xZ5"),
        ("group_word(group=S7)", "up to 720 elements are allowed"),
        ("group_word(group=A5xZ13)", "up to 720 elements are allowed"),
        ("flip_flop(ignore=1.5)", "must be at most 1"),
    ],
)
def test_a_bad_spec_is_one_sentence(spec, sentence):
    with pytest.raises(BadInput) as caught:
        tasks.make(spec)
    assert sentence in str(caught.value) and "\n" not in str(caught.value)
