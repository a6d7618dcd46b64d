"""The task contract, for every entry of `TASKS`."""

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_research import tasks
from attn_research.options import BadInput
from attn_research.tasks import SPLITS, TASKS, Batch
from tests.command import ROOT

pytestmark = pytest.mark.usefixtures("data_sets")
# Little text: the standard library takes seconds to read.
SOURCE = ROOT / "attn_research"
SMALL = {
    "recall": "recall(length=32,pairs=4)",
    "mqar": "mqar(length=32,pairs=4,vocabulary=64)",
    "noisy_recall": "noisy_recall(length=32,pairs=4)",
    "fuzzy_recall": "fuzzy_recall(length=32,pairs=2)",
    "multi_hop_recall": "multi_hop_recall(length=32,chains=3)",
    "mad_recall": "mad_recall(length=16)",
    "mad_noisy_recall": "mad_noisy_recall(length=16)",
    "mad_fuzzy_recall": "mad_fuzzy_recall(length=24)",
    "mad_selective_copying": "mad_selective_copying(length=24,count=4)",
    "mad_compression": "mad_compression(length=8)",
    "mad_memorization": "mad_memorization(length=16)",
    "copying": "copying(lag=9,count=4)",
    "selective_copying": "selective_copying(length=32,count=4)",
    "adding": "adding(length=16)",
    "temporal_order": "temporal_order(length=20)",
    "induction": "induction(length=24,triggers=3)",
    "ngram": "ngram(length=16)",
    "in_context_ngram": "in_context_ngram(length=16)",
    "text": f"text(length=32,path={SOURCE})",
    "masked_text": f"masked_text(length=32,path={SOURCE})",
    "classification": "classification(length=40)",
    "question_answering": "question_answering(length=90,language=all)",
    "translation": "translation(source_length=40,length=30)",
    "summarisation": "summarisation(source_length=200,length=50)",
    "captioning": "captioning(frames=6,side=36)",
    "image_classification": "image_classification(form=patches)",
    "image_generation": "image_generation",
    "audio_classification": "audio_classification(samples=320)",
    "spoken_strings": "spoken_strings(samples=960,words=3)",
    "forecasting": "forecasting(context=24,horizon=8)",
    "parity": "parity(length=6,test_length=20)",
    "cycle_navigation": "cycle_navigation(length=6,test_length=20)",
    "group_word": "group_word(length=6,test_length=20,group=A4)",
    "modular_arithmetic": "modular_arithmetic(length=7,test_length=20)",
    "flip_flop": "flip_flop(length=8,test_length=20,ignore=0.4)",
    "dyck": "dyck(length=6,test_length=20)",
    "reverse": "reverse(length=6,test_length=20)",
    "bucket_sort": "bucket_sort(length=6,test_length=20)",
    "stack_manipulation": "stack_manipulation(length=6,test_length=20)",
    "listops": "listops(length=30,shortest=4,depth=4,examples=90,held_out=9)",
    "pathfinder": "pathfinder(dashes=5,distractors=1,examples=90,held_out=30)",
    "needle": "needle(length=160,filler=noise)",
    "variable_tracking": "variable_tracking(length=140)",
    "coreference": "coreference(length=38)",
}
MORE = [
    "adding(length=16,causal=false)",
    "recall(length=32,pairs=3,gap=2..9)",
    "audio_classification(samples=800,form=frames)",
    "temporal_order(length=20,causal=false)",
    "parity(length=6,test_length=20,answers=last)",
    "modular_arithmetic(length=7,test_length=20,brackets=true)",
    "pathfinder(dashes=5,distractors=1,examples=90,held_out=30,inputs=tokens)",
    "needle(length=200,distractors=1,depth=0.5)",
    "coreference(length=38,cue=property,between=2)",
]
ROWS = 8


@lru_cache
def drawn(spec: str, seed: int) -> tuple[Any, Batch]:
    """The task and its batches of all splits (leading axis)."""
    task, draw = compiled(spec)
    found = [jax.device_get(draw(seed, split)) for split in range(len(SPLITS))]
    return task, jax.tree.map(lambda *leaves: np.stack(leaves), *found)


@lru_cache
def compiled(spec: str) -> tuple[Any, Any]:
    """The task and a compiled function of a seed and a split, both traced."""
    task = tasks.make(spec)
    arrays = jax.tree.map(jnp.asarray, task.arrays())

    @jax.jit
    def draw(seed, split):
        return task.batch(jax.random.key(seed), split, ROWS, arrays)

    return task, draw


def test_every_task_is_tested():
    assert SMALL.keys() == TASKS.keys()


@pytest.mark.parametrize("spec", [*SMALL.values(), *MORE])
def test_a_batch_is_what_its_spec_says(spec):
    task, batches = drawn(spec, 0)
    want = task.spec
    # Rows of all splits together.
    batch = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), batches)
    rows = len(SPLITS) * ROWS
    one = want.per_sequence or want.target in ("span", "string")
    per = (rows,) if one else (rows, want.length)
    assert batch.segments.shape == (rows, want.length)
    assert batch.weights.shape == batch.gap.shape == per
    rest = batch.targets.shape[len(per) :]
    if want.target == "value" and want.outputs > 1:
        assert rest == (want.outputs,)
    elif want.target == "string":
        assert len(rest) == 1 and rest[0] <= want.labels
    else:
        assert rest == ((2,) if want.target == "span" else ())
    if want.source_features:
        shape = rows, want.source_length
        assert batch.source_segments.shape == shape
        if want.source_inputs == "values":
            assert batch.source.shape == (*shape, want.source_features)
        else:
            assert batch.source.shape == shape
            assert 0 <= batch.source.min() <= batch.source.max() < want.source_features
    if want.inputs == "tokens":
        assert batch.inputs.shape == (rows, want.length)
        assert batch.inputs.dtype == np.int32
        assert 0 <= batch.inputs.min() <= batch.inputs.max() < want.features
    else:
        assert batch.inputs.shape == (rows, want.length, want.features)
    if want.target != "value":
        top = want.length if want.target == "span" else want.outputs
        assert 0 <= batch.targets.min() <= batch.targets.max() < top
    counted = (batch.weights > 0).reshape(rows, -1).sum(axis=1)
    assert 1 <= counted.min() and counted.max() <= want.labels
    assert batch.gap.min() >= -1 and batch.gap.max() < want.length


@pytest.mark.parametrize("spec", [*SMALL.values(), *MORE])
def test_batches_are_a_function_of_key_and_split(spec):
    _, batches = drawn(spec, 0)
    _, draw = compiled(spec)
    np.testing.assert_array_equal(draw(0, 0).inputs, batches.inputs[0])
    different = [*batches.inputs, draw(1, 0).inputs]
    for i, one in enumerate(different):
        for other in different[:i]:
            assert not np.array_equal(one, other)


@pytest.mark.parametrize("spec", [SMALL["recall"], SMALL["text"]])
def test_a_split_is_known_by_its_name_too(spec):
    task, batches = drawn(spec, 0)
    arrays = jax.tree.map(jnp.asarray, task.arrays())
    draw = jax.jit(task.batch, static_argnums=(1, 2))
    for one, split in zip(batches.inputs, SPLITS, strict=True):
        named = draw(jax.random.key(0), split, ROWS, arrays)
        np.testing.assert_array_equal(named.inputs, one)


@pytest.mark.parametrize("spec", SMALL.values())
def test_training_may_be_shorter_by_the_name_of_its_split(spec):
    task, key = tasks.make(spec), jax.random.key(0)
    arrays = jax.tree.map(jnp.asarray, task.arrays())
    train = jax.eval_shape(lambda: task.batch(key, "train", ROWS, arrays))
    assert train.segments.shape[0] == ROWS
    assert 1 <= train.segments.shape[1] <= task.spec.length


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
        ("noisy_recall(pairs=40)", "has room for 32 pairs and queries"),
        ("noisy_recall(noise=1.5)", "must be at most 1"),
        ("fuzzy_recall(length=64,pairs=8)", "needs 96 tokens; the length is 64"),
        ("fuzzy_recall(key_motif=3..2)", "fuzzy_recall.key_motif is '3..2'"),
        ("fuzzy_recall(vocabulary=5)", "2 tokens for keys and 2 for values"),
        ("fuzzy_recall(vocabulary=12)", "has 5 keys of 1 of its 5 tokens"),
        ("fuzzy_recall(vocabulary=1024)", "more than 16777216 keys of 3"),
        ("multi_hop_recall(hops=9)", "4 chains of 9 hops needs 80 tokens"),
        ("multi_hop_recall(vocabulary=10)", "has 8 symbols; 4 chains of 2 hops need"),
        ("multi_hop_recall(order=random)", "allowed are any, forward, backward"),
        ("mad_recall(length=127)", "a length of 127 is odd"),
        ("mad_noisy_recall(noise_vocabulary=31)", "1 tokens for keys and values"),
        ("mad_fuzzy_recall(length=12)", "needs a length of at least 13"),
        ("mad_fuzzy_recall(vocabulary=4)", "1 tokens for keys and 2 for values"),
        ("mad_selective_copying(length=33)", "needs a length of at least 34"),
        ("mad_compression(length=1)", "must be at least 2"),
        ("mad_memorization(vocabulary=3)", "must be at least 4"),
        ("selective_copying(length=8,count=5)", "has room for 4 symbols"),
        ("temporal_order(symbols=4)", "must be at most 3"),
        ("induction(length=15)", "has room for 3 bigrams"),
        ("induction(triggers=64,vocabulary=64)", "at most 63 triggers"),
        ("induction(gap=0)", "induction.gap is '0'"),
        ("induction(gap=60)", "A gap of 60 with 4 pairs needs 69 tokens"),
        ("ngram(vocabulary=256,order=3)", "a table of 16777216 chances"),
        ("in_context_ngram(vocabulary=64,order=3)", "at most 65536 are allowed"),
        ("adding(length=-1)", "must be at least 2"),
        ("text(length=0)", "must be at least 1"),
        ("parity(test_length=39)", "its test_length is 39; 40 or more is allowed"),
        ("dyck(length=400)", "its test_length is 320"),
        ("parity(answers=first)", "allowed are every, last"),
        ("group_word(group=D4)", "Zn, Sn, An and products of them such as A4xZ5"),
        ("group_word(group=S7)", "up to 720 elements are allowed"),
        ("group_word(group=A5xZ13)", "up to 720 elements are allowed"),
        ("flip_flop(ignore=1.5)", "must be at most 1"),
        ("captioning(moves=4)", "must be at most 3"),
        ("captioning(moves=3,frames=5)", "3 moves need 6 frames"),
        ("listops(length=400)", "shortest may be 400 or less"),
        ("listops(depth=3)", "has at most 122 tokens; shortest is 500"),
        ("pathfinder(size=48)", "32, 64 and 128 are allowed"),
        ("needle(length=74)", "no room for 1 facts and the question; 75 or more"),
        ("needle(depth=1.5)", "must be at most 1"),
        ("variable_tracking(length=128)", "11 assignments; 4 chains of 2 hops"),
        ("variable_tracking(digits=2)", "has 10 variables"),
        ("coreference(length=50,between=9)", "has room for 8 sentences"),
    ],
)
def test_a_bad_spec_is_one_sentence(spec, sentence):
    with pytest.raises(BadInput) as caught:
        tasks.make(spec)
    assert sentence in str(caught.value) and "\n" not in str(caught.value)
