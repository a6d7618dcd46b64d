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
    "masked_text": "masked_text(length=32)",
    "classification": "classification(length=40)",
    "question_answering": "question_answering(length=90,language=all)",
    "translation": "translation(source_length=40,length=30)",
    "summarisation": "summarisation(source_length=200,length=50)",
    "image_classification": "image_classification(form=patches)",
    "image_generation": "image_generation",
    "audio_classification": "audio_classification(samples=320)",
    "spoken_strings": "spoken_strings(samples=960,words=3)",
    "forecasting": "forecasting(context=24,horizon=8)",
}
MORE = [
    "adding(length=16,causal=false)",
    "recall(length=32,pairs=3,gap=2..9)",
    "audio_classification(samples=800,form=frames)",
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
    batch = task.batch(jax.random.key(0), "train", 5, arrays)
    one = want.per_sequence or want.target in ("span", "string")
    per = (5,) if one else (5, want.length)
    assert batch.segments.shape == (5, want.length)
    assert batch.weights.shape == batch.gap.shape == per
    rest = batch.targets.shape[len(per) :]
    if want.target == "value" and want.outputs > 1:
        assert rest == (want.outputs,)
    elif want.target == "string":
        assert len(rest) == 1 and rest[0] <= want.labels
    else:
        assert rest == ((2,) if want.target == "span" else ())
    if want.source_features:
        assert batch.source is not None and batch.source_segments is not None
        assert batch.source.shape == batch.source_segments.shape
        assert batch.source.shape == (5, want.source_length)
        assert 0 <= int(batch.source.min()) <= int(batch.source.max()) < 256
    if want.inputs == "tokens":
        assert batch.inputs.shape == (5, want.length)
        assert batch.inputs.dtype == jnp.int32
        assert 0 <= int(batch.inputs.min()) <= int(batch.inputs.max()) < want.features
    else:
        assert batch.inputs.shape == (5, want.length, want.features)
    if want.target != "value":
        top = want.length if want.target == "span" else want.outputs
        assert 0 <= int(batch.targets.min()) <= int(batch.targets.max()) < top
    counted = np.asarray(batch.weights > 0).reshape(5, -1).sum(axis=1)
    assert 1 <= counted.min() and counted.max() <= max(1, want.labels)
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
