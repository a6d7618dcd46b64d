"""What each reader makes of small files in the raw form: texts, places, splits."""

import gzip

import numpy as np
import pytest

from attn_research.tasks.contract import SPLITS
from attn_research.tasks.data import images, raw
from attn_research.tasks.data.catalogue import DATA_SETS
from tests.tasks.data import made


@pytest.fixture(autouse=True)
def small_halves(monkeypatch):
    monkeypatch.setattr(images, "HALF", 10)


def read(name, raw_dir):
    return made.read(made.data_set(name, raw_dir), raw_dir).splits


def sizes(splits):
    return [len(splits[split]) for split in SPLITS]


def everything(splits):
    return [example for split in SPLITS for example in splits[split]]


def test_every_data_set_is_made_and_named_by_its_key():
    assert made.MAKERS.keys() == DATA_SETS.keys()
    for name, data in DATA_SETS.items():
        assert data.name == name and tuple(data.examples) == SPLITS
        assert data.licence and data.source and data.split and data.task


@pytest.mark.parametrize("name", DATA_SETS)
def test_a_reader_yields_its_schema_and_the_same_twice(name, tmp_path):
    data = made.data_set(name, tmp_path)
    assert raw.verified(data, tmp_path) == tmp_path / data.folder
    first, second = made.read(data, tmp_path), made.read(data, tmp_path)
    assert first.replaced == {}
    assert repr(first) == repr(second)
    assert everything(first.splits)


def test_parts_are_tenths_of_the_identifiers_in_no_order_of_theirs():
    names = [f"name {n}" for n in range(200)]
    held = raw.parts(names)
    assert held == raw.parts(reversed(names)) == raw.parts(names * 2)
    counts = [list(held.values()).count(split) for split in SPLITS]
    assert counts == [160, 20, 20]
    assert {held[name] for name in names[:40]} == set(SPLITS)
    assert set(raw.parts(names, (9, 1, 0)).values()) == {"train", "validation"}
    # Written down, so that no split of anyone's results ever moves.
    found = [n for n in range(40) if held[f"name {n}"] == "test"]
    assert found == [1, 11, 12, 19, 20, 28]


def test_shakespeare_is_cut_into_three_stretches(tmp_path):
    splits = read("tinyshakespeare", tmp_path)
    whole = (tmp_path / "tinyshakespeare" / "input.txt").read_bytes()
    assert b"".join(example["text"] for example in everything(splits)) == whole
    edges = len(whole) * 18 // 20, len(whole) * 19 // 20
    assert len(splits["train"][0]["text"]) == edges[0]
    assert len(splits["validation"][0]["text"]) == edges[1] - edges[0]


def test_articles_begin_at_their_title_and_parts_of_them_do_not(tmp_path):
    splits = read("wikitext2", tmp_path)
    assert sizes(splits) == [4, 1, 2]
    for example in everything(splits):
        title = example["title"]
        assert example["text"].startswith(b" = " + title + b" = \n")
        assert example["text"].count(title + b" is <unk>") == 1
    stored = (tmp_path / "wikitext2_valid_test" / "test.txt").read_bytes()
    assert b" \n" + b"".join(e["text"] for e in splits["test"]) == stored


def test_chapters_are_whole(tmp_path):
    splits = read("moby_dick", tmp_path)
    assert sizes(splits) == [8, 1, 1]
    for example in everything(splits):
        number = example["chapter"].decode().removeprefix("chapter-")
        assert example["text"].decode() == f"{number} — é"


def test_reviews_keep_their_folds(tmp_path):
    splits = read("movie_reviews", tmp_path)
    assert sizes(splits) == [32, 4, 4]
    for split, folds in zip(SPLITS, [range(8), [8], [9]], strict=True):
        for example in splits[split]:
            mood, fold, _ = example["text"].decode().split(" ", 2)
            assert int(fold) in folds
            assert example["label"] == ("neg", "pos").index(mood)


@pytest.mark.parametrize("name", ["subjectivity", "sentence_polarity"])
def test_a_sentence_that_stands_twice_is_in_one_split(name, tmp_path):
    splits = read(name, tmp_path)
    held = {}
    for split in SPLITS:
        for example in splits[split]:
            held.setdefault(example["text"], set()).add(split)
            mood = example["text"].split()[0]
            if example["text"] != b"bad 3 .":
                assert example["label"] == [b"bad", b"good"].index(mood)
    assert len(everything(splits)) == 13 and len(held) == 11
    assert all(len(splits) == 1 for splits in held.values())


def test_answers_are_placed_by_bytes_and_languages_share_their_split(tmp_path):
    splits = read("xquad", tmp_path)
    assert sizes(splits) == [24, 3, 3]
    for split in SPLITS:
        by_language = [set(), set(), set()]
        for e in splits[split]:
            end = int(e["start"]) + len(e["answer"])
            assert e["context"][int(e["start"]) : end] == e["answer"]
            assert e["answer"] == "übrig".encode()
            by_language[e["language"]].add(e["title"])
        assert by_language[0] == by_language[1] == by_language[2]


def test_documents_stay_whole_and_in_order(tmp_path):
    splits = read("tico19", tmp_path)
    assert [[int(e["segment"]) for e in splits[s]] for s in SPLITS] == [
        [1, 2],
        [3],
        [4],
    ]
    assert splits["train"][1]["document"] == b"CMU_1"
    assert splits["train"][1]["en"] == b"one 2"
    assert splits["test"][0]["hi"].decode() == "hi – 4"


def test_a_transcript_is_divided_into_turns_and_spans(tmp_path):
    splits = read("qmsum", tmp_path)
    assert sizes(splits) == [9, 1, 2]
    for example in everything(splits):
        first, second = example["turns"]
        assert example["transcript"][first:second].decode() == "Ann: Zoë ?\n"
        assert example["transcript"][second:] == b"Bo: \n"
        assert example["queries"] == [b"Sum up", b"Why?"]
        assert example["summaries"] == [b"All.", "So é.".encode()]
        assert example["spans"].tolist() == [[1, 0, 1]]


def test_a_pronoun_and_its_candidates_are_placed_by_bytes(tmp_path):
    splits = read("gap", tmp_path)
    assert sizes(splits) == [9, 1, 3]
    for n, example in enumerate(splits["test"]):
        text = example["text"]
        for key, words in (("pronoun", "she"), ("a", "Zoë"), ("b", "Ann Lee")):
            start, end = example[key]
            assert text[start:end].decode() == words
        assert (example["label"], example["gender"]) == (n % 3, 1)


def test_occupations_are_told_from_each_other(tmp_path):
    splits = read("winobias", tmp_path)
    assert sizes(splits) == [64, 8, 8]
    pairs = {s: {int(e["pair"]) for e in splits[s]} for s in SPLITS}
    assert pairs["train"] | pairs["validation"] | pairs["test"] == set(range(10))
    assert sum(map(len, pairs.values())) == 10
    for e in everything(splits):
        text = e["text"]
        assert text[slice(*e["a"])].lower() == b"the cook"
        assert text[slice(*e["b"])].lower() == b"the clerk"
        assert e["label"] == (b" and " in text)
        pronoun = text[slice(*e["pronoun"])].decode()
        assert pronoun == [["he", "she"], ["his", "her"]][e["label"]][e["gender"]]
        assert b"[" not in text and not text[:1].isdigit()


def test_each_half_of_the_digits_is_cut_alike(tmp_path):
    splits = read("mnist_t10k", tmp_path)
    assert sizes(splits) == [14, 2, 4]
    labels = {split: [e["label"] for e in splits[split]] for split in SPLITS}
    assert labels["train"] == [*range(7)] * 2
    assert labels["validation"] == [7, 7] and labels["test"] == [8, 9] * 2
    pixels = np.arange(8 * 784, 9 * 784).astype(np.uint8).reshape(28, 28)
    np.testing.assert_array_equal(splits["test"][0]["image"], pixels)


def test_drawings_are_ink_on_paper_and_split_by_drawing(tmp_path):
    splits = read("omniglot_small", tmp_path)
    assert sizes(splits) == [16, 2, 2]
    for example in everything(splits):
        drawn = made.strokes(int(example["drawer"]))
        np.testing.assert_array_equal(example["image"], drawn)
    names = DATA_SETS["omniglot_small"].features["character"].names
    assert names[splits["test"][0]["character"]] == "Greek_2" and len(names) == 136


def test_clothes_keep_their_folders(tmp_path):
    splits = read("clothing32", tmp_path)
    assert [[e["label"] for e in splits[s]] for s in SPLITS] == [[1], [1], [0]]
    assert splits["test"][0]["image"].shape == (32, 32, 3)


def test_waves_are_cut_at_their_offsets_and_split_by_take(tmp_path):
    splits = read("fsdd", tmp_path)
    takes = [[int(e["index"]) for e in splits[s]] for s in SPLITS]
    assert takes == [[*range(10, 15)], [*range(5, 10)], [*range(5)]]
    found = np.concatenate(
        [splits[s][n]["audio"] for s in SPLITS[::-1] for n in range(5)]
    )
    np.testing.assert_array_equal(found, np.arange(-60, 60))
    assert found.dtype == np.int16
    assert [e["speaker"] for e in splits["test"]] == [0, 1, 2, 3, 4]


def test_the_splits_of_a_series_follow_each_other(tmp_path):
    splits = read("etth2", tmp_path)
    values = np.concatenate([splits[split][0]["values"] for split in SPLITS])
    np.testing.assert_array_equal(values[:, 3], np.arange(10) + 0.5)
    hours = [int(splits[split][0]["hour"]) for split in SPLITS]
    assert np.datetime64(hours[0], "h") == np.datetime64("2016-07-01T00")
    assert np.diff(hours).tolist() == [6, 2]


def test_an_expression_loses_the_brackets_of_its_tree(tmp_path):
    splits = read("listops_d8", tmp_path)
    assert sizes(splits) == [8, 1, 1]
    for example in everything(splits):
        assert example["text"].decode() == f"[MAX {example['label']} 0 ]"


def test_a_file_may_be_packed_or_not(tmp_path):
    data = made.data_set("listops_d8", tmp_path)
    path = tmp_path / "listops_spinn" / "test_d8.tsv"
    stored = gzip.decompress(path.with_name("test_d8.tsv.gz").read_bytes())
    before = made.read(data, tmp_path)
    path.with_name("test_d8.tsv.gz").unlink()
    path.write_bytes(stored)
    raw.verified(data, tmp_path)
    assert made.read(data, tmp_path) == before
