"""The real files, where they are: counts, splits that share nothing, known figures."""

import functools
import os
import re
from pathlib import Path

import numpy as np
import pytest

from attn_research.tasks.contract import SPLITS
from attn_research.tasks.data import packed, raw, schema
from attn_research.tasks.data.catalogue import DATA_SETS
from tests.command import ROOT, command

RAW = Path(os.environ.get("CHECKOUT", ROOT)).parent / "shared" / "data"


@functools.cache
def splits(name):
    """The examples that the reader of a data set makes of the real files."""
    data = DATA_SETS[name]
    if not (RAW / data.folder).is_dir():
        pytest.skip(f"{RAW / data.folder} holds the real files; it is not here")
    made = schema.collect(data, data.generate(raw.verified(data, RAW)))
    assert made.replaced == {}  # every text is UTF-8
    return made.splits


def column(name, feature):
    return [example[feature] for split in SPLITS for example in splits(name)[split]]


TOTALS = {
    "wikitext2": 60 + 62,
    "moby_dick": 138,
    "movie_reviews": 2_000,
    "subjectivity": 10_000,
    "sentence_polarity": 10_662,
    "xquad": 3 * 1_190,
    "tico19": 3_071,
    "qmsum": 162 + 35,
    "gap": 2_000 + 454,
    "winobias": 4 * 396,
    "mnist_t10k": 10_000,
    "omniglot_small": 2_720,
    "clothing32": 3_068 + 341 + 372,
    "fsdd": 3_000,
    "listops_d20s": 10_000,
    "listops_d8": 10_000,
}
# What no two splits may share.
APART = {
    "wikitext2": ("text",),
    "moby_dick": ("chapter", "text"),
    "movie_reviews": ("text",),
    "subjectivity": ("text",),
    "sentence_polarity": ("text",),
    "xquad": ("title", "context", "id"),
    "tico19": ("document",),
    "qmsum": ("meeting", "transcript"),
    "gap": ("text",),
    "winobias": ("pair",),
    "mnist_t10k": ("image",),
    "omniglot_small": ("drawer", "image"),
    "clothing32": ("image",),
    "fsdd": ("audio", "index"),
    "listops_d20s": ("text",),
    "listops_d8": ("text",),
}


@pytest.mark.parametrize("name", TOTALS)
def test_counts_are_those_of_the_sources_and_splits_share_nothing(name):
    assert sum(map(len, splits(name).values())) == TOTALS[name]
    for feature in APART[name]:
        parts = [
            {np.asarray(example[feature]).tobytes() for example in splits(name)[split]}
            for split in SPLITS
        ]
        assert sum(map(len, parts)) == len(set.union(*parts)), feature


@pytest.mark.parametrize("name", DATA_SETS)
def test_every_class_is_in_every_split(name):
    labels = [f for f, d in DATA_SETS[name].features.items() if d.kind == "label"]
    for feature in labels:
        names = DATA_SETS[name].features[feature].names
        for split in SPLITS:
            found = {example[feature] for example in splits(name)[split]}
            assert found == set(range(len(names))), (feature, split)


def test_classes_are_as_frequent_as_published():
    for name, each in (
        ("movie_reviews", 1_000),
        ("subjectivity", 5_000),
        ("sentence_polarity", 5_331),
    ):
        assert np.bincount(column(name, "label")).tolist() == [each, each]
    assert np.bincount(column("gap", "label")).tolist() == [1_061, 1_130, 263]
    assert np.bincount(column("fsdd", "label")).tolist() == [300] * 10
    assert np.bincount(column("winobias", "stereotype")).tolist() == [792, 792]


def test_documents_and_queries_are_as_many_as_published():
    assert len(set(column("tico19", "document"))) == 31
    assert sum(map(len, column("qmsum", "queries"))) == 1_529
    contexts = [set(), set(), set()]
    both = zip(column("xquad", "language"), column("xquad", "context"), strict=True)
    for language, context in both:
        contexts[language].add(context)
    assert [len(found) for found in contexts] == [240] * 3


def test_the_segments_of_a_document_follow_each_other():
    for split in SPLITS:
        documents = [example["document"] for example in splits("tico19")[split]]
        changes = sum(a != b for a, b in zip(documents, documents[1:], strict=False))
        assert changes == len(set(documents)) - 1
        assert 0.08 < len(splits("tico19")["test"]) / 3_071 < 0.1


def test_streams_hold_every_byte():
    assert sum(map(len, column("tinyshakespeare", "text"))) == 1_115_394
    assert len(set(b"".join(column("tinyshakespeare", "text")))) == 65
    stored = (RAW / "wikitext2_valid_test" / "test.txt").read_bytes()
    held = b"".join(example["text"] for example in splits("wikitext2")["test"])
    assert stored == b" \n" + held


def test_the_waves_are_all_there():
    assert sum(map(len, column("fsdd", "audio"))) == 10_498_424
    takes = {
        split: {int(e["index"]) for e in splits("fsdd")[split]} for split in SPLITS
    }
    assert takes["test"] == set(range(5)) and takes["validation"] == set(range(5, 10))


@pytest.mark.parametrize(("name", "published"), [("etth1", 1.295), ("etth2", 0.432)])
def test_repeating_the_last_value_errs_as_published(name, published):
    """`Repeat` at 96 hours, standardised by train: the borders are the literature's.

    Zeng et al., 2022, arXiv:2205.13504.
    """
    train, _, test = (splits(name)[split][0]["values"] for split in SPLITS)
    before = splits(name)["validation"][0]["values"]
    mean_F, deviation_F = train.mean(axis=0), train.std(axis=0)
    all_TF = (np.concatenate([before, test]) - mean_F) / deviation_F
    starts = range(len(before), len(all_TF) - 96 + 1)
    errors = [np.mean((all_TF[t : t + 96] - all_TF[t - 1]) ** 2) for t in starts]
    assert abs(np.mean(errors) - published) < 0.001
    hours = [int(splits(name)[split][0]["hour"]) for split in SPLITS]
    assert np.diff(hours).tolist() == [8_640, 2_880]


def value(words):
    """What an expression comes to, by reading it from left to right."""
    operations = {
        b"[MIN": min,
        b"[MAX": max,
        b"[MED": lambda found: int(np.median(found)),
        b"[SM": lambda found: sum(found) % 10,
        b"[FIRST": lambda found: found[0],
        b"[LAST": lambda found: found[-1],
    }
    open_lists = [[]]
    for word in words:
        if word in operations:
            open_lists.append([operations[word]])
        elif word == b"]":
            operation, *found = open_lists.pop()
            open_lists[-1].append(operation(found))
        else:
            open_lists[-1].append(int(word))
    ((found,),) = open_lists
    return found


@pytest.mark.parametrize("name", ["listops_d20s", "listops_d8"])
def test_every_tenth_expression_has_the_value_that_it_is_labelled_with(name):
    both = list(zip(column(name, "text"), column(name, "label"), strict=True))
    for expression, label in both[::10]:
        assert value(expression.split()) == label


def test_a_digest_of_every_file_is_in_the_sources():
    """What the catalogue names is what was handed out, and only that."""
    splits("gap")  # skips where there are no files
    for name, data in DATA_SETS.items():
        told = Path(RAW / data.folder / "SOURCE.md").read_text()
        for file in data.files:
            if (RAW / data.folder / file.name).exists():
                row = rf"\| {re.escape(file.name)} \| {file.bytes} \| {file.sha256} \|"
                assert re.search(row, told), (name, file.name)


def prepared(where, *names):
    ended = command("prepare_data", *names, f"--raw_dir={RAW}", f"--data_dir={where}")
    assert ended.code == 0, ended.err
    return ended.out


def test_a_real_set_is_prepared_and_loaded(tmp_path):
    splits("gap")
    assert "gap: prepared in" in prepared(tmp_path, "gap")
    loaded = packed.load("gap", tmp_path, verify=True)
    for split in SPLITS:
        texts = [example["text"] for example in splits("gap")[split]]
        assert [bytes(text) for text in loaded[split]["text"]] == texts


@pytest.mark.slow
def test_every_real_set_is_prepared(tmp_path):
    splits("gap")
    assert prepared(tmp_path, "all").count(": prepared in") == len(DATA_SETS)
    told = prepared(tmp_path, "all")
    assert told.count(": already prepared, every byte verified") == len(DATA_SETS)
