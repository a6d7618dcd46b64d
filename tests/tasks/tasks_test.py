"""The task contract, for every entry of `TASKS`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_research import tasks
from attn_research.options import BadInput
from attn_research.tasks import SPLITS, TASKS

SMALL = {
    "recall": "recall(length=32,pairs=4)",
    "mqar": "mqar(length=32,pairs=4,vocabulary=64)",
    "copying": "copying(lag=9,count=4)",
    "selective_copying": "selective_copying(length=32,count=4)",
    "adding": "adding(length=16)",
    "text": "text(length=32)",
}
MORE = ["adding(length=16,causal=false)", "recall(length=32,pairs=3,gap=2..9)"]


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
    batch = task.batch(jax.random.key(0), "train", 5, arrays)
    per = (5,) if want.per_sequence else (5, want.length)
    assert batch.segments.shape == (5, want.length)
    assert batch.targets.shape == batch.weights.shape == batch.gap.shape == per
    if want.inputs == "tokens":
        assert batch.inputs.shape == (5, want.length)
        assert batch.inputs.dtype == jnp.int32
        assert 0 <= int(batch.inputs.min()) <= int(batch.inputs.max()) < want.features
    else:
        assert batch.inputs.shape == (5, want.length, want.features)
    if want.target != "value":
        assert 0 <= int(batch.targets.min()) <= int(batch.targets.max()) < want.outputs
    counted = np.asarray(batch.weights > 0).reshape(5, -1).sum(axis=1)
    assert 1 <= counted.min() and counted.max() <= want.labels
    gap = np.asarray(batch.gap)
    assert gap.min() >= -1 and gap.max() < want.length


@pytest.mark.parametrize("spec", [*SMALL.values(), *MORE])
def test_batches_are_a_function_of_key_and_split(spec, loaded):
    task, arrays = loaded[spec]

    def inputs(seed, split):
        return np.asarray(task.batch(jax.random.key(seed), split, 8, arrays).inputs)

    drawn = [inputs(0, split) for split in SPLITS] + [inputs(1, "train")]
    np.testing.assert_array_equal(drawn[0], inputs(0, "train"))
    np.testing.assert_array_equal(drawn[2], inputs(0, jnp.int32(2)))
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
    ],
)
def test_a_bad_spec_is_one_sentence(spec, sentence):
    with pytest.raises(BadInput) as caught:
        tasks.make(spec)
    assert sentence in str(caught.value) and "\n" not in str(caught.value)
