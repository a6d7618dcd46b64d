"""Data sets of TFDS with other splits or forms are read by the same tasks."""

import jax.numpy as jnp
import numpy as np
import pytest

from attn_research import tasks
from attn_research.options import BadInput
from attn_research.tasks import SPLITS
from attn_research.tasks.data import packing, splits
from attn_research.tasks.data.schema import array, label, text, texts
from attn_research.tasks.parts import sets


@pytest.mark.parametrize(
    ("names", "validation", "test", "left"),
    [
        (("train", "validation", "test"), ("validation", 0, 10), ("test", 0, 10), 10),
        (("test", "train", "unsupervised"), ("train", 9, 10), ("test", 0, 10), 9),
        (("train", "validation"), ("train", 9, 10), ("validation", 0, 10), 9),
        (("train",), ("train", 8, 9), ("train", 9, 10), 8),
    ],
)
def test_what_stands_for_each_split(names, validation, test, left):
    found = splits.divided(names, "some")
    train = ("train", 0, left)
    assert found == {"train": train, "validation": validation, "test": test}
    told = splits.notes(names, "some")
    assert len(told) == (validation[0] != "validation") + (test[0] != "test")


def test_without_train_there_is_nothing_to_learn():
    with pytest.raises(
        BadInput, match="has the splits test; one of them must be train"
    ):
        splits.divided(("test",), "some")


def packed(where, name, features, examples):
    packing.write(name, "1.0.0", features, examples, where, {})
    return f"data={name},data_dir={where}"


def test_reviews_without_a_validation_split(tmp_path):
    """As imdb_reviews: what nobody labelled is in a split of its own."""
    features = {"text": text("words"), "label": label(("neg", "pos"), "mood")}
    rows = [{"text": b"%d" % n, "label": n % 2} for n in range(40)]
    unknown = [{"text": b"?", "label": -1}]
    found = {"train": rows[:30], "test": rows[30:], "unsupervised": unknown}
    given = packed(tmp_path, "imdb", features, found)
    task = tasks.make(f"classification({given},length=3)")
    arrays = task.arrays()
    assert np.diff(arrays["edges"]).tolist() == [27, 3, 10]
    read = arrays["text"]
    told = np.split(read.values_L, read.offsets_N[1:-1])
    assert [int(bytes(one)) for one in told] == list(range(40))
    assert arrays["label"].tolist() == [n % 2 for n in range(40)]
    assert task.notes(arrays)[-1] == (
        "imdb has no validation split: tenth 10 of 10 of its train is used."
    )


def test_images_without_a_validation_split(tmp_path):
    features = {
        "image": array("uint8", (2, 2, 1), "grey"),
        "label": label("ab", "a letter"),
    }
    rows = [
        {"image": np.full((2, 2, 1), n, np.uint8), "label": n % 2} for n in range(20)
    ]
    found = {"train": rows, "test": rows[:4]}
    given = packed(tmp_path, "digits", features, found)
    task = tasks.make(f"image_classification({given})")
    arrays = task.arrays()
    assert np.diff(arrays["edges"]).tolist() == [18, 2, 4]
    assert arrays["image"][:, 0, 0].tolist() == [*range(20), *range(4)]


@pytest.mark.parametrize(
    ("feature", "dtype", "shape", "task", "wanted"),
    [
        ("image", "float32", (4, 4, 1), "image_classification", "uint8"),
        ("image", "uint16", (4, 4, 1), "image_generation", "uint8"),
        ("image", "bool", (4, 4, 1), "image_classification", "uint8"),
        ("audio", "float32", (None,), "audio_classification", "int16"),
    ],
)
def test_numbers_in_another_unit_are_refused(
    feature, dtype, shape, task, wanted, tmp_path
):
    """Images are divided by 255 and audio by 32768, whatever their dtype is."""
    features = {feature: array(dtype, shape, "x"), "label": label("ab", "a letter")}
    value = np.ones([n or 900 for n in shape], dtype)
    rows = [{feature: value, "label": n % 2} for n in range(20)]
    given = packed(tmp_path, "units", features, {"train": rows})
    words = f"has the dtype {dtype}; it must be {wanted}"
    with pytest.raises(BadInput, match=words):
        tasks.make(f"{task}({given})").arrays()


@pytest.mark.parametrize("split", SPLITS)
def test_a_number_that_is_not_finite_is_named(split, tmp_path, monkeypatch):
    """It would make a channel of the whole series NaN."""
    features = {"values": array("float32", (None, 2), "x")}
    series = {one: np.ones((200, 2), np.float32) for one in SPLITS}
    series[split][7, 1] = np.inf
    rows = {one: [{"values": values}] for one, values in series.items()}
    words = rf"Example 0 of gap \({split}\) holds inf at \[7, 1\] of values"
    with pytest.raises(BadInput, match=words):
        packed(tmp_path, "gap", features, rows)
    # Sets that earlier versions packed are read too.
    with monkeypatch.context() as patched:
        patched.setattr(packing, "numbers", lambda feature, name, value: value)
        given = packed(tmp_path, "gap", features, rows)
    with pytest.raises(BadInput, match=words):
        tasks.make(f"forecasting({given},context=24,horizon=8)").arrays()


def test_a_label_that_nobody_knows_is_refused(tmp_path):
    features = {"text": text("words"), "label": label(("neg", "pos"), "mood")}
    rows = [{"text": b"a", "label": -1 if n == 12 else 0} for n in range(20)]
    given = packed(tmp_path, "unknown", features, {"train": rows})
    with pytest.raises(BadInput, match="Example 12 of train has the label -1; it"):
        tasks.make(f"classification({given})").arrays()


def test_too_few_examples_to_divide(tmp_path):
    features = {"text": text("words"), "label": label(("neg", "pos"), "mood")}
    rows = [{"text": b"a", "label": 0}] * 5
    given = packed(tmp_path, "few", features, {"train": rows})
    words = "too few examples for a validation split"
    with pytest.raises(BadInput, match=words) as caught:
        tasks.make(f"classification({given})").arrays()
    assert "\n" not in str(caught.value)


def test_questions_in_the_form_of_squad(tmp_path):
    """Places are letters there and bytes here; a question may have no answer."""
    features = {
        "question": text("asked"),
        "context": text("read"),
        "answers.text": texts("answers"),
        "answers.answer_start": array("int32", (None,), "letters"),
    }
    context, told = "Où est la forêt? Là-bas.".encode(), "forêt".encode()
    rows = [
        {
            "question": b"q",
            "context": context,
            "answers.text": [told, b"Ou"] * (n % 3 != 0),
            "answers.answer_start": np.array([10, 0] * (n % 3 != 0), np.int32),
        }
        for n in range(30)
    ]
    found = {"train": rows, "validation": rows[:9]}
    given = packed(tmp_path, "squad", features, found)
    task = tasks.make(f"question_answering({given},length=60)")
    arrays = task.arrays()
    assert np.diff(arrays["edges"]).tolist() == [18, 2, 6]
    batch = task.examples(jnp.arange(6), "test", arrays)
    for row in range(6):
        first, last = np.asarray(batch.targets)[row]
        found = np.asarray(batch.inputs)[row, first : last + 1]
        assert bytes(found.tolist()) == told
    only = ("question", "context")
    rows = [{name: row[name] for name in only} for row in rows]
    without = {name: features[name] for name in only}
    given = packed(tmp_path, "no_answers", without, {"train": rows})
    with pytest.raises(BadInput, match="has question, context.*; it must have answers"):
        tasks.make(f"question_answering({given})").arrays()


def test_a_part_of_a_column_is_that_of_its_examples(tmp_path):
    features = {
        "one": text("of any length"),
        "many": texts("of any number"),
        "fixed": array("int32", (2,), "of one shape"),
    }
    rows = [
        {
            "one": b"x" * (n + 1),
            "many": [b"y" * (n + 1)] * (n % 3),
            "fixed": np.array([n, -n]),
        }
        for n in range(10)
    ]
    packed(tmp_path, "columns", features, {"train": rows})
    columns = sets.loaded("columns", str(tmp_path), "one")
    assert [len(columns[s]["one"]) for s in SPLITS] == [8, 1, 1]
    for split, low in zip(SPLITS, (0, 8, 9), strict=True):
        own = columns[split]
        for place in range(len(own["one"])):
            row = rows[low + place]
            assert bytes(own["one"][place]) == row["one"]
            assert [bytes(t) for t in own["many"][place]] == row["many"]
            np.testing.assert_array_equal(own["fixed"][place], row["fixed"])
