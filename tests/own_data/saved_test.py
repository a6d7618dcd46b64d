"""Sets that `datasets` saves, laid out as version 5.2.0 of it lays them out."""

import json

import pyarrow
import pytest

from attn_research.tasks.contract import SPLITS
from tests.own_data.reading import refused, reviews, seen

NAMES = ["no", "yes"]
LABEL = {"names": NAMES, "_type": "ClassLabel"}
TEXT = {"dtype": "string", "_type": "Value"}


def shard(path, rows, features) -> None:
    """A stream of Arrow whose schema knows the features, in batches of seven rows."""
    made = pyarrow.Table.from_pylist(rows).replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": features}})}
    )
    with pyarrow.ipc.new_stream(path, made.schema) as out:
        out.write_table(made, max_chunksize=7)


def saved(folder, rows, shards=1, features=None):
    """A split, as `Dataset.save_to_disk` writes it."""
    features = features or {"text": TEXT, "label": LABEL}
    folder.mkdir(parents=True)
    names = [f"data-{n:05}-of-{shards:05}.arrow" for n in range(shards)]
    size = -(-len(rows) // shards)
    for number, name in enumerate(names):
        shard(folder / name, rows[number * size :][:size], features)
    state = {
        "_data_files": [{"filename": name} for name in names],
        "_fingerprint": "aedf49b834aa0d6c",
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }
    about = {"citation": "", "description": "", "features": features,
             "homepage": "", "license": ""}  # fmt: skip
    (folder / "state.json").write_text(json.dumps(state, indent=2))
    (folder / "dataset_info.json").write_text(json.dumps(about, indent=2))
    return folder


def coded(count=20, first=0):
    return [
        {"text": text, "label": NAMES.index(label)}
        for text, label in reviews(count, first)
    ]


def together(path, names=("train", "validation", "test"), shards=3):
    """Splits, as `DatasetDict.save_to_disk` writes them."""
    for n, name in enumerate(names):
        saved(path / name, coded(20, 20 * n), shards if n == 0 else 1)
    (path / "dataset_dict.json").write_text(json.dumps({"splits": list(names)}))
    return path


def test_a_saved_set_keeps_its_splits_and_the_names_of_its_classes(tmp_path):
    found = seen(together(tmp_path / "all"))
    assert found.found.data.features["label"].names == ("no", "yes")
    for n, split in enumerate(SPLITS):
        assert found.texts(split) == {text for text, _ in reviews(20, 20 * n)}
    assert "train/data-00000-of-00003.arrow row 1:" in found.told
    assert {row["label"] for row in found.rows()} == {0, 1}


def test_a_split_alone_is_divided_over_all_of_its_shards(tmp_path):
    found = seen(saved(tmp_path / "one", coded(60), shards=4))
    assert {row["text"].decode() for row in found.rows()} == {t for t, _ in reviews(60)}
    assert "The splits are drawn by the hash of each row's content." in found.lines
    twisted = dict(LABEL, names=None)  # only the number of classes is known
    plain = saved(
        tmp_path / "two", coded(60), features={"text": TEXT, "label": twisted}
    )
    assert seen(plain).found.data.features["label"].names == ("0", "1")


def test_what_is_not_listed_is_no_part_of_a_saved_set(tmp_path):
    """The cache of a `map`, a split that was left out, a shard of an earlier save."""
    path = together(tmp_path / "all")
    want = seen(path).found.digest
    shard(path / "train" / "cache-f00.arrow", [{"other": 1}], {"other": TEXT})
    shard(path / "train" / "data-00000-of-00009.arrow", coded(5, 80), {"text": TEXT})
    saved(path / "unsupervised", coded(20, 60))
    assert seen(path).found.digest == want


def test_splits_of_other_names_and_missing_shards_are_refused(tmp_path):
    path = together(tmp_path / "a", ("train", "unsupervised"))
    refused("a split named 'unsupervised'; it must be train", path)
    path = together(tmp_path / "b", ("train", "validation", "dev"))
    refused("has the splits validation and dev; one of them must be validation", path)
    path = together(tmp_path / "c")
    (path / "train" / "data-00001-of-00003.arrow").unlink()
    refused("lists the shard 'data-00001-of-00003.arrow', which is not there", path)
    (path / "train" / "state.json").unlink()
    refused("state.json", path)
    for wrong in ("{", "[]", '{"splits": 3}', '{"splits": []}'):
        (path / "dataset_dict.json").write_text(wrong)
        refused("has no list 'splits'; it must be as save_to_disk wrote it", path)


def test_pairs_of_languages_are_one_column_of_two(tmp_path):
    features = {"translation": {"languages": ["en", "fr"], "_type": "Translation"}}
    rows = [{"translation": {"en": f"word {n}", "fr": f"mot {n}"}} for n in range(60)]
    found = seen(saved(tmp_path / "all", rows, 2, features), "translation")
    assert {(r["en"], r["fr"]) for r in found.rows()} == {
        (f"word {n}".encode(), f"mot {n}".encode()) for n in range(60)
    }


@pytest.mark.parametrize("known", [True, False])
def test_a_class_that_is_unknown_is_no_label(known, tmp_path):
    """`datasets` writes -1 for it."""
    rows = [*coded(60), {"text": "who knows", "label": 1 if known else -1}]
    path = saved(tmp_path / "all", rows)
    if known:
        assert len(seen(path).rows()) == 61
    else:
        refused("data-00000-of-00001.arrow row 61 has no label; it must have one", path)


def test_a_table_named_state_is_a_table(tmp_path):
    """Of a user who has never heard of `datasets`."""
    (tmp_path / "state.json").write_text(
        json.dumps([{"text": t, "label": n} for t, n in reviews(60)])
    )
    assert len(seen(tmp_path).rows()) == 60
