"""The task contract, for every entry of `TASKS`; and that generators never drift."""

import hashlib
from functools import lru_cache, partial
from typing import Any

import jax
import numpy as np
import pytest

from attn_research import tasks
from attn_research.options import BadInput
from attn_research.tasks import SPLITS, TASKS, Batch
from tests.tasks.specs import ALL, HASHES, READ, SMALL

pytestmark = pytest.mark.usefixtures("data_sets")
ROWS, KEYS = 4, 2


@lru_cache
def compiled(spec: str) -> tuple[Any, Any]:
    """The task and a compiled function of a seed and a split, both traced."""
    task = tasks.make(spec)
    arrays = jax.device_put(task.arrays())

    @jax.jit
    def draw(seed, split, arrays):
        return task.batch(jax.random.key(seed), split, ROWS, arrays)

    return task, partial(draw, arrays=arrays)


@lru_cache
def drawn(spec: str) -> tuple[Any, Batch]:
    """The task and its batches of all keys and splits, the two leading axes."""
    task, draw = compiled(spec)
    found = [
        jax.device_get([draw(seed, split) for split in range(len(SPLITS))])
        for seed in range(KEYS)
    ]
    batches = [batch for each in found for batch in each]
    return task, jax.tree.map(
        lambda *leaves: np.reshape(leaves, (KEYS, len(SPLITS), *leaves[0].shape)),
        *batches,
    )


def test_every_task_is_tested():
    assert SMALL.keys() == TASKS.keys() == {spec.partition("(")[0] for spec in ALL}
    assert {spec.partition("(")[0] for spec in HASHES} == TASKS.keys() - READ


@pytest.mark.parametrize("spec", ALL)
def test_a_batch_is_what_its_spec_says(spec):
    task, batches = drawn(spec)
    want = task.spec
    # Rows of all keys and splits together.
    batch = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[3:]), batches)
    rows = KEYS * len(SPLITS) * ROWS
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
    if want.groups:
        assert batch.group.shape == (rows,)
        assert 0 <= batch.group.min() <= batch.group.max() < len(want.groups)
    else:
        assert batch.group is None
    counted = (batch.weights > 0).reshape(rows, -1).sum(axis=1)
    assert 1 <= counted.min() and counted.max() <= want.labels
    assert batch.gap.min() >= -1 and batch.gap.max() < want.length


@pytest.mark.parametrize("spec", ALL)
def test_batches_are_a_function_of_key_and_split(spec):
    _, batches = drawn(spec)
    _, draw = compiled(spec)
    np.testing.assert_array_equal(draw(0, 0).inputs, batches.inputs[0, 0])
    different = batches.inputs.reshape(-1, *batches.inputs.shape[2:])
    for i, one in enumerate(different):
        for other in different[:i]:
            assert not np.array_equal(one, other)


@pytest.mark.parametrize("spec", HASHES)
def test_batches_are_those_of_earlier_results(spec):
    """A result names its task and its seed: nothing else says what examples it saw."""
    found = digest(drawn(spec)[1])
    assert found == HASHES[spec], (
        f"{spec} gives other batches than the results made so far saw. Where that is "
        "not meant, restore the order and number of its draws. Where it is, results of "
        f'this task made before are void: write "{spec}": "{found}" into HASHES.'
    )


def digest(batches):
    """16 hexadecimal digits of batches, key by key and split by split."""
    found = hashlib.blake2b(digest_size=8)
    for at in np.ndindex(KEYS, len(SPLITS)):
        for name, leaf in zip(batches._fields, batches, strict=True):
            if leaf is None:
                continue
            value = leaf[at]
            kind = value.dtype.newbyteorder("<")
            found.update(f"{name} {kind.str} {value.shape} ".encode())
            found.update(value.astype(kind).tobytes())
    return found.hexdigest()


@pytest.mark.parametrize("spec", ["recall", SMALL["text"]])
def test_a_split_is_known_by_its_name_too(spec):
    task, batches = drawn(spec)

    @jax.jit
    def named(key, arrays):
        return [task.batch(key, split, ROWS, arrays).inputs for split in SPLITS]

    found = named(jax.random.key(0), task.arrays())
    np.testing.assert_array_equal(found, batches.inputs[0])


@pytest.mark.parametrize("spec", SMALL.values())
def test_training_may_be_shorter_by_the_name_of_its_split(spec):
    task, key = tasks.make(spec), jax.random.key(0)
    arrays = jax.device_put(task.arrays())
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
        ("text(path=x,data=gap)", "a path, x, and a data set, gap; give one of both"),
        ("masked_text(path=x,data=gap)", "give one of both"),
        ("masked_text(subwords=7)", "masked_text.subwords is 7; 0 (bytes alone)"),
        ("code(length=63)", "must be at least 64"),
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
