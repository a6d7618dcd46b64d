"""Packed data sets: what is written is what is mapped, whole, or one sentence."""

import errno
import json
import os

import numpy as np
import pytest

from attn_research.host import durable
from attn_research.host.durable import Damaged, DiskError
from attn_research.options import BadInput
from attn_research.tasks.data import manifests, packed, packing
from attn_research.tasks.data.schema import array, label, text, texts

FEATURES = {
    "text": text("a text"),
    "notes": texts("texts"),
    "label": label(("no", "yes"), "a label"),
    "number": array("float64", (), "a number"),
    "image": array("uint8", (2, 3), "an image"),
    "wave": array("int16", (None,), "a wave"),
    "spans": array("int32", (None, 3), "triples"),
    "answers.text": text("a feature that was nested"),
}
FACTS = {"source": {}, "replaced": {}}


def drawn(count, seed=0):
    """Examples of every kind of feature, some of them empty."""
    rng = np.random.default_rng(seed)
    return [
        {
            "text": rng.bytes(n % 4 * 5),
            "notes": [rng.bytes(m) for m in range(n % 3)],
            "label": n % 2,
            "number": rng.normal(),
            "image": rng.integers(0, 255, (2, 3)).astype(np.uint8),
            "wave": rng.integers(-9, 9, n % 5).astype(np.int16),
            "spans": rng.integers(0, 9, (n % 3, 3)).astype(np.int32),
            "answers.text": b"x",
        }
        for n in range(count)
    ]


SPLITS = {"train": drawn(7), "validation": drawn(1, 1), "test": []}


def write(where, splits=SPLITS, name="mine", version="1.0.0", features=FEATURES):
    return packing.write(name, version, features, splits, where, FACTS)


@pytest.mark.parametrize("verify", [False, True])
def test_what_is_packed_is_what_is_loaded(tmp_path, verify):
    write(tmp_path)
    loaded = packed.load("mine", tmp_path, verify=verify)
    assert {s: len(c["text"]) for s, c in loaded.items()} == {
        "train": 7, "validation": 1, "test": 0,
    }  # fmt: skip
    for split, examples in SPLITS.items():
        assert loaded[split].keys() == FEATURES.keys()
        for name, column in loaded[split].items():
            assert column.feature == FEATURES[name] and len(column) == len(examples)
            for found, example in zip(column, examples, strict=True):
                want = example[name]
                if name == "notes":
                    assert [bytes(item) for item in found] == want
                elif isinstance(want, bytes):
                    assert found.dtype == np.uint8 and bytes(found) == want
                else:
                    np.testing.assert_array_equal(found, want)
                    assert found.dtype == column.values.dtype == FEATURES[name].dtype


def test_columns_are_mapped_and_cannot_be_written(tmp_path):
    write(tmp_path)
    for column in packed.load("mine", tmp_path)["train"].values():
        for values in (column.values, column.offsets, column.rows):
            assert values is None or isinstance(values, np.memmap)
            assert values is None or not values.flags.writeable
    wave = packed.load("mine", tmp_path)["train"]["wave"]
    assert wave.offsets is not None and wave.offsets.tolist() == [
        0,
        0,
        1,
        3,
        6,
        10,
        10,
        11,
    ]
    for place in (-1, 7):
        with pytest.raises(IndexError):
            wave[place]


def test_a_manifest_tells_counts_and_sizes(tmp_path):
    home = write(tmp_path)
    told = packed.manifest("mine", tmp_path)
    assert (told["name"], told["version"]) == ("mine", "1.0.0")
    assert {s: part["examples"] for s, part in told["splits"].items()} == {
        "train": 7, "validation": 1, "test": 0,
    }  # fmt: skip
    for split, part in told["splits"].items():
        files = {path.name: path.stat().st_size for path in (home / split).iterdir()}
        assert files == {name: facts["bytes"] for name, facts in part["arrays"].items()}
    assert told["features"]["label"]["names"] == ["no", "yes"]


def test_the_newest_version_is_loaded_and_of_the_catalogue_the_one_it_names(tmp_path):
    for version in ("9.0.0", "10.0.0", "2.11.1"):
        write(tmp_path, version=version)
    assert packed.manifest("mine", tmp_path)["version"] == "10.0.0"
    write(tmp_path, name="gap", version="0.9.0")
    write(tmp_path, name="gap", version="1.0.1")
    with pytest.raises(BadInput, match="The data set gap is not prepared"):
        packed.load("gap", tmp_path)


def test_a_config_of_a_data_set_has_a_folder_of_its_own(tmp_path):
    home = write(tmp_path, name="wmt/de-en")
    assert home == tmp_path / "packed" / "wmt" / "de-en" / "1.0.0"
    assert len(packed.load("wmt/de-en", tmp_path)["train"]["text"]) == 7


# --- nothing there -------------------------------------------------------------------


def test_a_data_set_that_is_not_prepared_names_the_command(tmp_path):
    where = tmp_path / "a b"
    with pytest.raises(BadInput) as caught:
        packed.load("gap", where)
    assert str(caught.value) == (
        f"The data set gap is not prepared in {where}; prepare it with: python "
        f"scripts/prepare_data.py gap --raw_dir=DIR '--data_dir={where}'"
    )
    with pytest.raises(BadInput, match="prepare_data.py imdb_reviews --data_dir="):
        packed.load("imdb_reviews", tmp_path)
    with pytest.raises(
        BadInput, match=r"wikitext3 is neither .* did you mean 'wikitext2'\?"
    ):
        packed.load("wikitext3", tmp_path)


@pytest.mark.parametrize("name", ["../mine", "", "a//b", "/etc", "a/../b", "-x", "a b"])
def test_a_name_never_leaves_the_directory(name, tmp_path):
    with pytest.raises(BadInput, match="The name of a data set is"):
        packed.load(name, tmp_path)


def test_where_data_sets_are_looked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv(packed.VARIABLE, raising=False)
    assert str(packed.data_dir()) == "/home/me/.cache/attn_research/data"
    monkeypatch.setenv(packed.VARIABLE, "~/sets")
    assert str(packed.data_dir()) == str(packed.data_dir("")) == "/home/me/sets"
    assert packed.data_dir(tmp_path) == tmp_path


# --- damage --------------------------------------------------------------------------


def files(home):
    return sorted(path for path in home.rglob("*.npy"))


@pytest.mark.parametrize("harm", ["cut", "grow", "remove", "empty"])
def test_a_file_of_another_size_is_never_loaded(harm, tmp_path):
    home = write(tmp_path)
    for path in files(home):
        whole = path.read_bytes()
        if harm == "remove":
            path.unlink()
        else:
            path.write_bytes(
                {"cut": whole[:-1], "grow": whole + b"\0", "empty": b""}[harm]
            )
        with pytest.raises(Damaged) as caught:
            packed.load("mine", tmp_path)
        assert str(path) in str(caught.value) and "prepare" in str(caught.value)
        path.write_bytes(whole)
    packed.load("mine", tmp_path)


def test_a_flipped_bit_is_found_by_verifying(tmp_path):
    home = write(tmp_path, {"train": drawn(7)})
    rng = np.random.default_rng(0)
    for path in files(home):
        whole = path.read_bytes()
        for place in (0, int(rng.integers(len(whole))), len(whole) - 1):
            harmed = bytearray(whole)
            harmed[place] ^= 1 << int(rng.integers(8))
            path.write_bytes(harmed)
            with pytest.raises(Damaged, match="is damaged"):
                packed.load("mine", tmp_path, verify=True)
        path.write_bytes(whole)
    packed.load("mine", tmp_path, verify=True)


def test_a_header_of_another_array_is_found_without_verifying(tmp_path):
    home = write(tmp_path)
    path = home / "train" / "image.npy"
    path.write_bytes(path.read_bytes().replace(b"(7, 2, 3)", b"(7, 3, 2)"))
    with pytest.raises(Damaged, match=r"holds uint8 \(7, 3, 2\)"):
        packed.load("mine", tmp_path)


def test_a_manifest_says_what_was_written_or_nothing(tmp_path):
    path = write(tmp_path) / packed.MANIFEST
    whole, wanted = path.read_bytes(), packed.manifest("mine", tmp_path)
    rng = np.random.default_rng(0)
    refused = 0
    for place in rng.integers(0, len(whole), 100).tolist():
        harmed = bytearray(whole)
        harmed[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(harmed)
        try:
            assert packed.manifest("mine", tmp_path) == wanted
        except Damaged:
            refused += 1
    assert refused > 50
    path.write_bytes(whole)
    content = {**wanted, "layout": 2}
    path.write_text(json.dumps(manifests.sealed(content)))
    with pytest.raises(Damaged, match="its layout is 2"):
        packed.load("mine", tmp_path)


# --- writing -------------------------------------------------------------------------


def test_a_failed_write_leaves_the_old_set_and_nothing_else(tmp_path, monkeypatch):
    home = write(tmp_path)

    def full(root):
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patched:
        patched.setattr(durable, "fsync_tree", full)
        with pytest.raises(DiskError, match="No space left on device") as caught:
            write(tmp_path, {"train": drawn(3, 5)})
    assert str(home) in str(caught.value)
    assert os.listdir(home.parent) == ["1.0.0"]
    assert len(packed.load("mine", tmp_path, verify=True)["train"]["text"]) == 7
    write(tmp_path, {"train": drawn(3, 5)})
    assert len(packed.load("mine", tmp_path, verify=True)["train"]["text"]) == 3
    assert os.listdir(home.parent) == ["1.0.0"]


def test_who_reads_while_a_set_is_replaced_keeps_what_it_mapped(tmp_path):
    write(tmp_path)
    before = packed.load("mine", tmp_path)
    write(tmp_path, {"train": drawn(7, 5)})
    for found, example in zip(before["train"]["text"], SPLITS["train"], strict=True):
        assert bytes(found) == example["text"]


def test_strings_of_a_mock_are_packed_as_their_bytes(tmp_path):
    features = {"text": text("a text"), "notes": texts("texts")}
    write(tmp_path, {"train": [{"text": "é", "notes": ["a"]}]}, features=features)
    loaded = packed.load("mine", tmp_path)["train"]
    assert bytes(loaded["text"][0]) == "é".encode()
    assert [bytes(item) for item in loaded["notes"][0]] == [b"a"]


def one(**changes):
    return {**drawn(1)[0], **changes}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image": np.zeros((3, 2))}, "has image of shape (3, 2); it must be (2, 3)"),
        ({"image": np.full((2, 3), 256)}, "has image that uint8 cannot hold"),
        ({"image": np.full((2, 3), 0.5)}, "has image that uint8 cannot hold"),
        ({"image": np.full((2, 3), np.nan)}, "has image that uint8 cannot hold"),
        ({"wave": np.array([0, -(2**15) - 1])}, "has wave that int16 cannot hold"),
        ({"number": np.inf}, "holds inf at [] of number; every number must be finite"),
        ({"label": 2}, "has the label 2; it must be 0 to 1, or -1 if it is unknown"),
        ({"label": -2}, "has the label -2; it must be 0 to 1, or -1"),
        ({"spans": np.zeros(3, int)}, "has spans of shape (3,); it must be (None, 3)"),
    ],
)
@pytest.mark.parametrize("split", ["train", "test"])
def test_an_example_that_does_not_fit_its_feature_is_named(
    split, change, words, tmp_path
):
    splits = {"train": drawn(7), "test": drawn(2)}
    splits[split] = [*splits[split][:2], one(**change), *splits[split][2:]]
    with pytest.raises(BadInput) as caught:
        write(tmp_path, splits)
    said = str(caught.value)
    assert said.startswith(f"Example 2 of mine ({split}) {words}") and "\n" not in said
    assert packed.location("mine", tmp_path) is None
    orders = {split: range(90, 100)}
    with pytest.raises(BadInput, match=rf"Example 92 of mine \({split}\) "):
        packing.write("mine", "1.0.0", FEATURES, splits, tmp_path, FACTS, orders)


def test_a_class_that_nobody_knows_is_packed_and_a_set_without_names_has_any(tmp_path):
    write(tmp_path, {"train": [one(label=-1), one(label=1)]})
    assert packed.load("mine", tmp_path)["train"]["label"].values.tolist() == [-1, 1]
    features = {"label": label((), "numbers")}
    write(tmp_path, {"train": [{"label": 900}]}, features=features)
    assert packed.load("mine", tmp_path)["train"]["label"].values.tolist() == [900]


def test_the_name_of_a_feature_never_leaves_the_directory(tmp_path):
    with pytest.raises(BadInput, match="A feature or split of mine is 'a/b'"):
        write(tmp_path, {"a/b": []})
