"""What a model is looked at with."""

import gc
import weakref

import numpy as np
import pytest

from attn_research.analysis import subject
from attn_research.analysis.subject import Subject
from attn_research.config import edit
from attn_research.options import BadInput
from attn_research.report.inside import reach
from tests.analysis.made import LENGTH, TWO, restored


def test_of_a_text_the_next_token_is_asked_for():
    seen = subject.of_text(restored("conv"), b"\x01\x05\x02")
    spec, batch = seen.answered
    np.testing.assert_array_equal(batch.inputs, [[1, 5, 2]])
    np.testing.assert_array_equal(batch.targets[:, :2], [[5, 2]])
    np.testing.assert_array_equal(batch.weights, [[1, 1, 0]])
    assert spec.length == spec.labels == 3 and spec.target == "token"
    with pytest.raises(BadInput, match="has 1 token; for a loss it must have 2"):
        _ = subject.of_text(restored("conv"), b"\x01").answered
    for of in (restored("conv", classes=3), restored("conv", causal=False)):
        with pytest.raises(BadInput, match="predicts no next token, so that a text"):
            _ = subject.of_text(of, b"\x01\x05").answered


TASK = "copying(lag=2,count=4,symbols=8)"


def of_task(task: str = TASK):
    of = restored("conv")
    return of._replace(config=edit(of.config, {"task": task}))


def test_a_split_comes_batch_by_batch_and_is_never_held():
    seen = subject.of_split(of_task(), "test", 20, 6)
    alive, rows = [], []
    for part in seen.parts():
        if part is not seen:
            alive.append(weakref.ref(part.inputs_B))
        rows.append(part.inputs_B)
        assert part.inputs_B.shape[1] == 6 and part.answered[1] is part.batch
    assert [len(inputs_B) for inputs_B in rows] == [7, 7, 6] and seen.total == 20
    whole = np.concatenate(rows)
    assert len(np.unique(whole, axis=0)) == 20
    again = np.concatenate([part.inputs_B for part in seen.parts()])
    np.testing.assert_array_equal(again, whole)
    del rows, whole, again, part
    gc.collect()
    assert len(alive) == 2 and [ref() for ref in alive] == [None, None]


def test_gradients_are_those_of_all_parts():
    of = restored("conv(width=2)")
    seen = Subject(of, TWO, None, None, None)
    twice = seen._replace(later=lambda: iter([seen._replace(inputs_B=TWO[::-1])]))
    energy_BK = reach._energy(twice, of)
    assert energy_BK.shape == (4, LENGTH)
    np.testing.assert_array_equal(energy_BK[2:], energy_BK[1::-1])
    np.testing.assert_array_equal(energy_BK[:2], reach._energy(seen, of))


def test_a_subject_is_named_by_all_that_it_is():
    of = restored("conv")
    texts = {subject.of_text(of, text).digest for text in (b"\x01\x02", b"\x02\x01")}
    given = ("test", 4, 6), ("validation", 4, 6), ("test", 5, 6), ("test", 4, 5)
    splits = {subject.of_split(of_task(), *one).digest for one in given}
    splits.add(
        subject.of_split(of_task(TASK.replace("lag=2", "lag=3")), *given[0]).digest
    )
    assert len(texts) == 2 and len(splits) == 5
    again = subject.of_split(of_task(), *given[0])
    assert again.digest in splits


def test_a_text_is_no_longer_than_the_positions_that_a_model_knows():
    of = restored("conv", positions="learned")
    assert subject.of_text(of, bytes(9)).inputs_B.shape == (1, 9)
    with pytest.raises(BadInput, match="10 positions; it must have at most the 9"):
        subject.of_text(of, bytes(10))


def test_a_stretch_is_of_all_that_is_no_padding():
    of = restored("conv")
    segments_BT = np.zeros(TWO.shape, np.int32)
    segments_BT[0, :2], segments_BT[1, 3:5] = 1, 2
    some = Subject(of, TWO, segments_BT, None, None)
    np.testing.assert_array_equal(some.stretch, [*TWO[0, :2], *TWO[1, 3:5]])
    whole = Subject(of, TWO, None, None, None)
    np.testing.assert_array_equal(whole.stretch, TWO.reshape(-1))
