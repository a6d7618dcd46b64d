"""Answers that cannot be given are left out and counted, or refused before training."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_research import tasks
from attn_research.config import Config, Model
from attn_research.losses import losses
from attn_research.options import BadInput
from attn_research.tasks import SPLITS
from attn_research.tasks.data import packing
from attn_research.tasks.data.schema import array, label, text, texts
from attn_research.training import program
from tests.tasks.data.waves_test import store

DRAW = np.random.default_rng(3)


def packed(where, features, rows, name="some"):
    """A set whose splits are all `rows`, as the options that name it."""
    every = {split: rows for split in SPLITS}
    packing.write(name, "1.0.0", features, every, where, {})
    return f"data={name},data_dir={where}"


def recordings(folder, sizes):
    """A folder in which each class has recordings of these sizes in every split."""
    rows = ["file,label,split"]
    for n, size in enumerate(sizes):
        for word in "ab":
            for split in SPLITS:
                file = f"{word}{n}{split}.wav"
                store(folder / file, DRAW.integers(-99, 99, size))
                rows.append(f"{file},{word},{split}")
    (folder / "labels.csv").write_text("\n".join(rows))
    return folder


@pytest.mark.parametrize("writes", ["false", "true"])
def test_a_recording_that_no_string_holds_is_left_out_and_counted(writes, tmp_path):
    folder = recordings(tmp_path, [900, 1000, 2500, 100])
    task = tasks.make(
        f"spoken_strings(path={folder},samples=2000,words=3,writes={writes})"
    )
    arrays = task.arrays()
    assert np.diff(arrays["edges"]).tolist() == [4, 4, 4]
    assert np.diff(arrays["audio"].offsets_N).max() == 1000
    (note,) = task.notes(arrays)
    assert (
        note.startswith("12 of 24 recordings are left out") and "160 to 2,000" in note
    )
    batch = jax.jit(lambda a: task.batch(jax.random.key(0), "test", 64, a))(arrays)
    weights = np.asarray(batch.weights).reshape(64, -1)
    assert np.all(weights.max(axis=1) >= 1)


@pytest.mark.parametrize("sizes", [[2500, 3000], [100, 90]])
def test_without_any_string_the_task_is_refused(sizes, tmp_path):
    folder = recordings(tmp_path, sizes)
    with pytest.raises(BadInput, match="no recording of the train split of .* fits"):
        tasks.make(f"spoken_strings(path={folder},samples=2000)").arrays()


def test_too_few_positions_for_the_symbols_are_refused(tmp_path):
    folder = recordings(tmp_path, [900])
    spec = f"spoken_strings(path={folder},samples=24000,words=5)"
    small = {"pattern": "conv", "layers": 1, "width": 16}
    with pytest.raises(BadInput, match="leaves 3 positions; it must leave at least 9"):
        program.resolve(Config(task=spec, model=Model(**small, strides=(10, 10))))
    program.resolve(Config(task=spec, model=Model(**small, strides=(3, 11))))


def test_a_string_with_too_few_positions_has_no_loss():
    """`aa` needs three positions: a blank is between the two."""
    outputs_BTV = np.zeros((3, 4, 3), np.float32)
    outputs_BTV[:, :, 0] = 0.5
    labels_BL = np.array([[1, 1], [1, 2], [1, 1]])
    segments_BT = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0]])

    @jax.jit
    @partial(jax.grad, has_aux=True)
    def slope(outputs_BTV):
        loss_B, _ = losses(outputs_BTV, labels_BL, "string", segments_BT)
        return loss_B.sum(), loss_B

    found, loss_B = slope(outputs_BTV)
    assert loss_B[0] == 0 and 0 < loss_B[1] < 9 and 0 < loss_B[2] < 9
    assert np.all(np.isfinite(found)) and not np.any(found[0])


MARKED = {
    "text": text("a passage"),
    "pronoun": array("int32", (2,), "p"),
    "a": array("int32", (2,), "a"),
    "b": array("int32", (2,), "b"),
    "label": label(("a", "b", "neither"), "whom"),
}


def passage(at, name=0):
    """A text with two names and a pronoun at a byte."""
    row = {"text": b"Ann saw Bob." + b"." * 40, "a": [0, 3], "b": [8, 11]}
    return {**row, "pronoun": [at, at + 2], "label": name}


@pytest.mark.parametrize("spec", ["pronouns", "classification"])
def test_a_pronoun_that_is_cut_off_is_left_out(spec, tmp_path):
    given = packed(tmp_path, MARKED, [passage(14), passage(40), passage(20, 2)])
    task = tasks.make(f"{spec}({given},length=30)")
    arrays = task.arrays()
    assert np.diff(arrays["edges"]).tolist() == [2, 2, 2]
    assert any("3 texts are left out" in note for note in task.notes(arrays))
    batch = task.examples(jnp.arange(2), "test", arrays)
    assert np.asarray(batch.targets).max() < 30
    with pytest.raises(BadInput, match=f"{spec}.length is 8; it must be larger"):
        tasks.make(f"{spec}({given},length=8)").arrays()
    whole = tasks.make(f"{spec}({given},length=90)").arrays()
    assert np.diff(whole["edges"]).tolist() == [3, 3, 3]


@pytest.mark.parametrize("place", [[-1, 2], [50, 60], [9, 9], [9, 4]])
@pytest.mark.parametrize("spec", ["pronouns", "classification"])
def test_a_place_outside_of_its_text_is_refused(spec, place, tmp_path):
    rows = [passage(14), {**passage(14), "b": place}]
    given = packed(tmp_path, MARKED, rows)
    words = rf"Example 1 of some \(train\) has b at {place[0]} to {place[1]} of a text"
    with pytest.raises(BadInput, match=words):
        tasks.make(f"{spec}({given})").arrays()


@pytest.mark.parametrize("start", [-1, 12, 10_000])
def test_an_answer_outside_of_its_paragraph_is_refused(start, tmp_path):
    features = {
        "question": text("q"), "context": text("c"), "answer": text("a"),
        "start": array("int32", (), "s"),
    }  # fmt: skip
    row = {"question": b"who", "context": b"it was Ann", "answer": b"Ann", "start": 7}
    given = packed(tmp_path, features, [row, {**row, "answer": b""}])
    task = tasks.make(f"question_answering({given},length=40)")
    arrays = task.arrays()
    assert len(arrays["span"]) == 3  # an empty answer is none
    given = packed(tmp_path, features, [row, {**row, "start": start}])
    with pytest.raises(BadInput, match=r"Question 1 of some \(train\) has the bytes"):
        tasks.make(f"question_answering({given},length=40)").arrays()


MEETING = {
    "transcript": text("t"), "turns": array("int32", (None,), "t"),
    "queries": texts("q"), "summaries": texts("s"),
    "spans": array("int32", (None, 3), "s"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"summaries": [b"x"]}, "2 queries and 1 summaries"),
        ({"turns": [0, 99]}, "turns that do not lie in its transcript"),
        ({"turns": [4, 0]}, "turns that do not lie in its transcript"),
        ({"spans": [[0, 0, 2]]}, r"the span \[0, 0, 2\]"),
        ({"spans": [[2, 0, 0]]}, r"the span \[2, 0, 0\]"),
        ({"spans": [[0, 1, 0]]}, r"the span \[0, 1, 0\]"),
    ],
)
def test_a_meeting_that_contradicts_itself_is_refused(change, words, tmp_path):
    row = {
        "transcript": b"A: a\nB: b\n", "turns": [0, 5], "queries": [b"x", b"y"],
        "summaries": [b"x", b"y"], "spans": np.array([[0, 0, 1], [1, 1, 1]]),
    }  # fmt: skip
    given = packed(tmp_path, MEETING, [row])
    tasks.make(f"summarisation({given},passages=true)").arrays()
    row = {**row, **change, "spans": np.array(change.get("spans", row["spans"]))}
    given = packed(tmp_path, MEETING, [row])
    with pytest.raises(BadInput, match=rf"Meeting 0 of some \(train\) has {words}"):
        tasks.make(f"summarisation({given},passages=true)").arrays()


@pytest.mark.parametrize(
    ("task", "name", "feature", "words"),
    [
        ("audio_classification", "audio", array("int16", (None, 2), "x"), "shape"),
        ("forecasting", "values", array("float32", (None,), "x"), "shape"),
        ("forecasting", "values", array("complex64", (None, 1), "x"), "dtype"),
        ("classification", "text", array("int32", (), "x"), "of the kind array"),
        ("classification", "label", array("int32", (), "x"), "of the kind array"),
        ("pronouns", "a", array("int32", (3,), "x"), "shape"),
        ("pronouns", "b", array("float32", (2,), "x"), "dtype"),
    ],
)
def test_a_feature_of_another_form_is_refused(task, name, feature, words, tmp_path):
    features = {**MARKED, name: feature}
    row = passage(14)
    size = [5 if n is None else n for n in feature.shape]
    given = packed(tmp_path, features, [{**row, name: np.ones(size, feature.dtype)}])
    with pytest.raises(BadInput, match=words) as caught:
        tasks.make(f"{task}({given})").arrays()
    assert name in str(caught.value) and "must" in str(caught.value)


def test_a_series_that_float32_cannot_hold_is_refused(tmp_path):
    features = {"values": array("float64", (None, 1), "x")}
    near = [{"values": np.array([[0.0], [1e-30]] * 18)}]
    far = [{"values": np.full((36, 1), 1e9)}]
    every = {"train": near, "validation": far, "test": far}
    packing.write("some", "1.0.0", features, every, tmp_path, {})
    with pytest.raises(BadInput, match="must be within float32"):
        tasks.make(
            f"forecasting(data=some,data_dir={tmp_path},context=4,horizon=2)"
        ).arrays()
