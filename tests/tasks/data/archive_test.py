"""Raw files -> TFDS -> packed arrays, and data sets that TFDS prepared elsewhere."""

import io
import json
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from attn_research import tasks
from attn_research.options import BadInput
from attn_research.tasks.data import builder, images, packed, prepare
from attn_research.tasks.data.catalogue import DATA_SETS
from attn_research.tasks.data.display import Bar
from tests.command import ROOT, command
from tests.tasks.data import made

tfds = pytest.importorskip("tensorflow_datasets")
KINDS = tfds.features


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Every data set of the catalogue, prepared from small files, and its examples."""
    raw_dir, where = (tmp_path_factory.mktemp(name) for name in ("raw", "sets"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(images, "HALF", 10)
        want = {}
        for name in list(DATA_SETS):
            patched.setitem(DATA_SETS, name, made.data_set(name, raw_dir))
            want[name] = made.read(DATA_SETS[name], raw_dir).splits
            with Bar(name) as bar:
                assert prepare.prepare(name, raw_dir, where, bar)
        yield where, want


@pytest.mark.parametrize("name", DATA_SETS)
def test_from_raw_files_to_arrays_no_byte_changes(name, prepared):
    where, want = prepared
    loaded = packed.load(name, where, verify=True)
    assert loaded.keys() == want[name].keys()
    for split, examples in want[name].items():
        for key, column in loaded[split].items():
            assert column.feature == DATA_SETS[name].features[key]
            assert len(column) == len(examples)
            for found, example in zip(column, examples, strict=True):
                wanted = example[key]
                if isinstance(wanted, list):
                    assert [bytes(item) for item in found] == wanted
                elif isinstance(wanted, bytes):
                    assert bytes(found) == wanted
                else:
                    np.testing.assert_array_equal(found, wanted)
                    assert np.shape(found) == np.shape(wanted)


@pytest.mark.parametrize("name", DATA_SETS)
def test_an_archive_keeps_the_schema_and_the_order(name, prepared):
    where, want = prepared
    archive = builder.read(where / name / "1.0.0")
    assert archive.version == "1.0.0"
    assert archive.features == dict(DATA_SETS[name].features)
    for split, examples in want[name].items():
        for example, found in zip(examples, archive.splits[split], strict=True):
            assert found.keys() == example.keys()
            for key, value in example.items():
                if isinstance(value, int | bytes):
                    assert found[key] == value
    folders = {path.name for path in (where / name).iterdir()}
    assert folders == {"1.0.0"} and not (where / "downloads").exists()


def test_preparing_needs_neither_tensorflow_nor_the_network_and_loading_not_tfds(
    prepared, tmp_path
):
    """A package named tensorflow that cannot be imported, and no socket."""
    where, _ = prepared
    (tmp_path / "tensorflow").mkdir()
    tried = tmp_path / "tried"
    broken = f"open({str(tried)!r}, 'w').close()\nraise RuntimeError('no TensorFlow')"
    (tmp_path / "tensorflow" / "__init__.py").write_text(broken)
    code = f"""
import pathlib, socket, sys
def refuse(*a, **k): open({str(tried)!r}, "w").close(); raise OSError("no network")
socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse
from attn_research.tasks.data import packed
packed.load("winobias", {str(where)!r}, verify=True)
print(sorted({{"tensorflow_datasets", "tensorflow"}} & set(sys.modules)))
from attn_research.tasks.data import display, prepare
from attn_research.tasks.data.catalogue import DATA_SETS
from tests.tasks.data import made
out = pathlib.Path({str(tmp_path)!r})
DATA_SETS["gap"] = made.data_set("gap", out)
with display.Bar("gap") as bar: prepare.prepare("gap", out, out / "sets", bar)
print(len(packed.load("gap", out / "sets")["train"]["text"]))
"""
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={"PYTHONPATH": f"{tmp_path}:{ROOT}", "PATH": "", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.stdout.splitlines() == ["[]", "9"], ended.stderr
    assert ended.stderr == "" and not tried.exists()


# --- data sets that TFDS knows -------------------------------------------------------


def archive(where, name, features, examples, version="1.0.0"):
    """What TFDS writes of a data set with these features, and where."""
    members = {
        "name": name.partition("/")[0],
        "VERSION": tfds.core.Version(version),
        "_info": lambda self: tfds.core.DatasetInfo(
            builder=self,
            features=KINDS.FeaturesDict(features),
            disable_shuffling=True,
        ),
        "_split_generators": lambda self, _: {"train": enumerate(examples)},
        "_generate_examples": None,
    }
    config = name.partition("/")[2]
    if config:
        members["BUILDER_CONFIGS"] = [tfds.core.BuilderConfig(name=config)]
    tfds.disable_progress_bar()
    with tfds.core.registered.skip_registration():
        made = type(members["name"], (tfds.core.GeneratorBasedBuilder,), members)
    built = made(data_dir=where)
    built.download_and_prepare(file_format="array_record", download_dir=where / "none")
    return where / name / version


def packed_from(where, name):
    with Bar(name) as bar:
        assert prepare.names([name], where) == [name]
        assert prepare.prepare(name, None, where, bar)
        assert not prepare.prepare(name, None, where, bar)
    return packed.load(name, where, verify=True)["train"]


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(file, "png")
    return file.getvalue()


def test_reviews_as_the_catalogue_of_tfds_keeps_them(tmp_path):
    features = {"text": KINDS.Text(), "label": KINDS.ClassLabel(names=["neg", "pos"])}
    rows = [{"text": "só", "label": 1}, {"text": "", "label": -1}]  # unsupervised: -1
    archive(tmp_path, "imdb_reviews/plain_text", features, rows)
    loaded = packed_from(tmp_path, "imdb_reviews")
    read = [bytes(text).decode() for text in loaded["text"]]
    assert set(zip(read, loaded["label"].values, strict=True)) == {("só", 1), ("", -1)}
    assert loaded["label"].feature.names == ("neg", "pos")


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3)])
def test_images_are_decoded(shape, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (3, *shape)).astype(np.uint8)
    features = {
        "image": KINDS.Image(shape=shape),
        "label": KINDS.ClassLabel(num_classes=10),
        "id": KINDS.Text(),
    }
    rows = [{"image": png(p), "label": 7, "id": "a"} for p in pixels]
    archive(tmp_path, "digits", features, rows)
    found = packed_from(tmp_path, "digits")["image"].values
    assert {image.tobytes() for image in found} == {p.tobytes() for p in pixels}
    assert found.shape == pixels.shape


def test_classes_that_stand_in_order_are_mixed_and_documents_are_not(tmp_path):
    """A tenth of what is sorted by class would be of one class."""
    rows = [{"text": str(n), "label": int(n >= 100)} for n in range(200)]
    label = KINDS.ClassLabel(names=["a", "b"])
    archive(tmp_path, "sorted", {"text": KINDS.Text(), "label": label}, rows)
    loaded = packed_from(tmp_path, "sorted")
    told = [int(bytes(text)) for text in loaded["text"]]
    assert sorted(told) == list(range(200)) and told != list(range(200))
    assert loaded["label"].values.tolist() == [int(n >= 100) for n in told]
    task = tasks.make(f"classification(data=sorted,data_dir={tmp_path},length=8)")
    arrays = task.arrays()
    for low, high in pairwise(arrays["edges"]):
        assert set(arrays["label"][low:high].tolist()) == {0, 1}
    pages = [{"text": row["text"]} for row in rows]
    archive(tmp_path, "pages", {"text": KINDS.Text()}, pages)
    loaded = packed_from(tmp_path, "pages")
    assert [int(bytes(text)) for text in loaded["text"]] == list(range(200))


def test_nested_answers_get_names_with_dots(tmp_path):
    answers = {"text": KINDS.Text(), "answer_start": np.int32}
    features = {"question": KINDS.Text(), "answers": KINDS.Sequence(answers)}
    rows = [
        {"question": "a", "answers": [{"text": "b", "answer_start": 3}] * n}
        for n in (2, 0, 1)
    ]
    archive(tmp_path, "squad", features, rows)
    loaded = packed_from(tmp_path, "squad")
    found = [[bytes(t) for t in texts] for texts in loaded["answers.text"]]
    assert found == [[b"b", b"b"], [], [b"b"]]
    assert [s.tolist() for s in loaded["answers.answer_start"]] == [[3, 3], [], [3]]


def test_translations_have_a_column_a_language_and_configs_are_told_apart(tmp_path):
    for pair in (("de", "en"), ("fr", "en")):
        features = KINDS.Translation(languages=pair)
        rows = [{pair[0]: "é", "en": "e"}]
        archive(tmp_path, f"wmt14/{pair[0]}-en", features, rows)
    loaded = packed_from(tmp_path, "wmt14/de-en")
    assert {name: bytes(column[0]) for name, column in loaded.items()} == {
        "de": "é".encode(), "en": b"e",
    }  # fmt: skip
    with pytest.raises(BadInput, match="must be one of wmt14/de-en, wmt14/fr-en"):
        prepare.names(["wmt14"], tmp_path)


def test_numbers_of_every_form(tmp_path):
    features = {
        "scalar": KINDS.Scalar(np.float64),
        "flag": np.bool_,
        "rows": KINDS.Tensor(shape=(None, 2), dtype=np.float32),
        "many": KINDS.Sequence(np.int64),
        "names": KINDS.Sequence(KINDS.ClassLabel(num_classes=3)),
    }
    row = {
        "scalar": 0.5,  # TFDS keeps no more than the digits of float32
        "flag": True,
        "rows": np.float32([[1, 2], [3, 4]]),
        "many": [5, 6, 7],
        "names": np.int32([2, 0]),
    }
    archive(tmp_path, "numbers", features, [row], version="2.0.0")
    archive(tmp_path, "numbers", features, [row, row], version="10.0.0")
    loaded = packed_from(tmp_path, "numbers")
    assert len(loaded["scalar"]) == 2  # of the newest version
    for name, value in row.items():
        np.testing.assert_array_equal(loaded[name][1], value)
        assert loaded[name].values.dtype == np.asarray(value).dtype


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_what_cannot_be_packed_is_one_sentence(tmp_path):
    text = {"text": KINDS.Text()}
    # Without TensorFlow TFDS writes neither, nor reads the first.
    within = "tensorflow_datasets.core.features."
    audio = {
        "pythonClassName": f"{within}audio_feature.Audio",
        "audio": {
            "shape": {"dimensions": ["-1"]},
            "dtype": "int64",
            "encoding": "none",
        },  # fmt: skip
    }
    lists = KINDS.Sequence(KINDS.Sequence(np.int64)).to_json()
    lists = {"pythonClassName": lists["type"], "sequence": lists["content"]}
    for name, feature in (("speech", audio), ("lists", lists)):
        home = archive(tmp_path, name, {"x": np.int64}, [{"x": 1}])
        edit(
            home / "features.json",
            lambda c, f=feature: c["featuresDict"]["features"].update(x=f),
        )
    photo = {"photo": KINDS.Image(shape=(None, None, 3))}
    pixels = np.zeros((2, 2, 3), np.uint8)
    archive(tmp_path, "photos", photo, [{"photo": png(pixels)}])
    home = archive(tmp_path, "records", text, [{"text": "a"}])
    edit(home / "dataset_info.json", lambda c: c.update(fileFormat="tfrecord"))
    home = archive(tmp_path, "cut", text, [{"text": "a" * 99}] * 999)
    (shard,) = home.glob("*array_record*")
    shard.write_bytes(shard.read_bytes()[:-1000])
    for name, words in {
        "speech": "has features that TFDS reads only with tensorflow",
        "lists": "cannot be packed: the feature x is a list of lists",
        "photos": "cannot be packed: the feature photo has the shape (None, None, 3)",
        "records": "it is written as tfrecord; prepare it again with",
        "cut": "cannot be read (",
    }.items():
        with pytest.raises(BadInput) as caught, Bar(name) as bar:
            prepare.prepare(name, None, tmp_path, bar)
        message = str(caught.value)
        assert words in message and str(tmp_path / name) in message
        assert "\n" not in message
        assert packed.location(name, tmp_path) is None


def test_an_example_is_called_by_its_number_in_the_archive(tmp_path):
    """Sets that are sorted by class are packed in another order."""
    features = {"number": np.float32, "label": KINDS.ClassLabel(names=["a", "b"])}
    rows = [{"number": 1.0, "label": int(n > 20)} for n in range(40)]
    rows[13]["number"] = np.nan
    archive(tmp_path, "gappy", features, rows)
    words = r"Example 13 of gappy \(train\) holds nan at \[\] of number; every number"
    for _ in range(2):
        with Bar("gappy") as bar:
            assert not prepare.prepare("gappy", None, tmp_path, bar)
        with pytest.raises(BadInput, match=words):
            packed.load("gappy", tmp_path)
    assert packed.location("gappy", tmp_path) is None
    done = command("prepare_data", "gappy", f"--data_dir={tmp_path}")
    assert (done.code, done.out) == (65, "") and "Example 13 of gappy" in done.err
