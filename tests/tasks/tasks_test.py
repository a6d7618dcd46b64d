"""The task contract, for every entry of `TASKS`; and that generators never drift."""

import hashlib
from functools import lru_cache

import jax
import numpy as np
import pytest

from attn_research import tasks
from attn_research.options import BadInput
from attn_research.tasks import SPLITS, TASKS
from attn_research.testing.tasks import KEYS, LAWS, ROWS, Drawn, draw
from tests.tasks.specs import ALL, HASHES, READ, SMALL

pytestmark = pytest.mark.usefixtures("data_sets")
# The law of names compiles a program of its own, that of rows apart draws many.
QUICK = [law for law in LAWS if law not in ("names", "apart")]
OFTEN = ("recall", SMALL["parity"], SMALL["classification"], SMALL["adding"])


@lru_cache
def drawn(spec: str) -> Drawn:
    """The task and its batches of all keys and splits."""
    return draw(tasks.make(spec))


def test_every_task_is_tested():
    assert SMALL.keys() == TASKS.keys() == {spec.partition("(")[0] for spec in ALL}
    assert {spec.partition("(")[0] for spec in HASHES} == TASKS.keys() - READ


@pytest.mark.parametrize("spec", ALL)
@pytest.mark.parametrize("law", QUICK)
def test_law(law, spec):
    LAWS[law](drawn(spec))


@pytest.mark.parametrize("spec", ["recall", SMALL["text"]])
def test_a_split_is_known_by_its_name_too(spec):
    LAWS["names"](drawn(spec))


@pytest.mark.parametrize(
    "spec",
    [pytest.param(one, marks=[pytest.mark.slow] * (one not in OFTEN)) for one in ALL],
)
def test_rows_of_the_test_are_no_rows_of_training(spec):
    LAWS["apart"](drawn(spec))


@pytest.mark.parametrize("spec", HASHES)
def test_batches_are_those_of_earlier_results(spec):
    """A result names its task and its seed: nothing else says what examples it saw."""
    found = digest(drawn(spec).batches)
    assert found == HASHES[spec], (
        f"{spec} gives other batches than the results made so far saw. If that is "
        "not meant, restore the order and number of its draws. If it is, results of "
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
        (
            "recall(length=64,pairs=8,gap=70)",
            "8 pairs at a gap of 70 it must be at least 86",
        ),
        ("recall(gap=5..2)", "recall.gap is '5..2'"),
        ("recall(gap=0)", "recall.gap is '0'"),
        ("recall(pairs=40)", "at length 64 they must be at most 32"),
        ("recall(overwrites=9)", "at most the number of pairs, 8"),
        ("recall(vocabulary=10)", "4 keys and 5 values"),
        ("mqar(pairs=17)", "at length 64 it must be at most 16"),
        ("noisy_recall(pairs=40)", "at length 64 they must be at most 32"),
        ("noisy_recall(noise=1.5)", "must be at most 1"),
        ("fuzzy_recall(length=64,pairs=8)", "twice each, it must be at least 96"),
        ("fuzzy_recall(key_motif=3..2)", "fuzzy_recall.key_motif is '3..2'"),
        ("fuzzy_recall(vocabulary=5)", "2 tokens for keys and 2 for values"),
        ("fuzzy_recall(vocabulary=12)", "has 5 distinct keys of 1 of its 5 tokens"),
        ("fuzzy_recall(vocabulary=1024)", "it must be at most 16777216"),
        ("multi_hop_recall(hops=9)", "4 chains of 9 hops it must be at least 80"),
        ("multi_hop_recall(vocabulary=10)", "has 8 symbols; for 4 chains of 2 hops"),
        ("multi_hop_recall(order=random)", "it must be one of any, forward, backward"),
        ("mad_recall(length=127)", "length is 127; it must be even"),
        ("mad_noisy_recall(noise_vocabulary=31)", "1 tokens for keys and values"),
        ("mad_fuzzy_recall(length=12)", "it must be at least 13"),
        ("mad_fuzzy_recall(vocabulary=4)", "1 tokens for keys and 2 for values"),
        ("mad_selective_copying(length=33)", "it must be at least 34"),
        ("mad_compression(length=1)", "must be at least 2"),
        ("mad_memorization(vocabulary=3)", "must be at least 4"),
        ("selective_copying(length=8,count=5)", "at length 8 it must be at most 4"),
        ("temporal_order(symbols=4)", "must be at most 3"),
        ("induction(length=15)", "at length 15 it must be at most 3"),
        (
            "induction(triggers=64,vocabulary=64)",
            "with 64 tokens it must be at most 63",
        ),
        ("induction(gap=0)", "induction.gap is '0'"),
        ("induction(gap=60)", "a gap of 60 it must be at least 69"),
        ("ngram(vocabulary=256,order=3)", "a table of 16777216 probabilities"),
        ("in_context_ngram(vocabulary=64,order=3)", "it must be at most 65536"),
        ("adding(length=-1)", "must be at least 2"),
        ("text(length=0)", "must be at least 1"),
        ("text(path=x,data=gap)", "path is x and the data set gap; one of them must"),
        ("masked_text(path=x,data=gap)", "one of them must be left out"),
        ("masked_text(subwords=7)", "masked_text.subwords is 7; it must be 0 (bytes)"),
        ("code(length=63)", "must be at least 64"),
        (
            "parity(test_length=39)",
            "test_length is 39; it must be at least the length, 40",
        ),
        ("dyck(length=400)", "test_length is 320; it must be at least"),
        ("parity(answers=first)", "it must be one of every, last"),
        (
            "group_word(group=D4)",
            "must be Zn, Sn, An or a product of them such as A4xZ5",
        ),
        ("group_word(group=S7)", "must be of at most 720 elements"),
        ("group_word(group=A5xZ13)", "must be of at most 720 elements"),
        ("flip_flop(ignore=1.5)", "must be at most 1"),
        ("captioning(moves=4)", "must be at most 3"),
        ("captioning(moves=3,frames=5)", "for 3 moves it must be at least 6"),
        ("listops(length=400)", "must be at most the length, 400"),
        ("listops(depth=3)", "shortest is 500; with depth 3"),
        ("pathfinder(size=48)", "it must be 32, 64 or 128"),
        ("needle(length=74)", "the question it must be at least 75"),
        ("needle(depth=1.5)", "must be at most 1"),
        (
            "variable_tracking(length=128)",
            "12 assignments; in variable_tracking of length 128",
        ),
        ("variable_tracking(digits=2)", "2 digits they must be at most 10"),
        ("coreference(length=50,between=9)", "at length 50 it must be at most 8"),
    ],
)
def test_a_bad_spec_is_one_sentence(spec, sentence):
    with pytest.raises(BadInput) as caught:
        tasks.make(spec)
    assert sentence in str(caught.value) and "\n" not in str(caught.value)
