"""Raw files and examples that are not what they should be: one sentence each."""

import dataclasses
import gzip
import json
import sys

import numpy as np
import pytest

from attn_research.options import BadInput
from attn_research.tasks.data import raw, schema
from tests.tasks.data import made


def fails(call, *words):
    """What `call` raises: one sentence that holds these words."""
    with pytest.raises(BadInput) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


def edited(path, *changes):
    """Replaces a text in a file, packed by gzip or not."""
    packed = path.suffix == ".gz"
    stored = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
    for old, new in changes:
        assert old in stored
        stored = stored.replace(old, new, 1)
    path.write_bytes(gzip.compress(stored) if packed else stored)


# --- files ---------------------------------------------------------------------------


def test_a_file_that_is_missing(tmp_path):
    data = made.data_set("gap", tmp_path)
    (tmp_path / "gap" / "gap-validation.tsv").unlink()
    fails(
        lambda: raw.verified(data, tmp_path),
        "gap-validation.tsv (or gap-validation.tsv.gz) is missing",
        "google-research-datasets/gap-coreference",
    )
    fails(lambda: raw.verified(data, tmp_path / "none"), "gap-development.tsv (or")


def test_a_file_that_is_cut_short(tmp_path):
    data = made.data_set("gap", tmp_path)
    path = tmp_path / "gap" / "gap-development.tsv"
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    wanted = f"has {len(whole) - 100} bytes; it must be {len(whole):,}"
    fails(lambda: raw.verified(data, tmp_path), str(path), wanted)


def test_a_file_of_another_content(tmp_path):
    data = made.data_set("gap", tmp_path)
    edited(tmp_path / "gap" / "gap-development.tsv", (b"left", b"felt"))
    wanted = f"it must be {data.files[0].sha256[:12]}..."
    fails(lambda: raw.verified(data, tmp_path), "gap-development.tsv has the", wanted)


@pytest.mark.parametrize("keep", [5, 60, -4])
def test_a_packed_file_that_is_cut_short(keep, tmp_path):
    data = made.data_set("listops_d8", tmp_path)
    path = tmp_path / "listops_spinn" / "test_d8.tsv.gz"
    path.write_bytes(path.read_bytes()[:keep])
    fails(
        lambda: raw.verified(data, tmp_path), str(path), "is damaged", "copy it again"
    )


def test_a_file_that_is_no_zip(tmp_path):
    made.data_set("movie_reviews", tmp_path)
    path = tmp_path / "movie_reviews" / "movie_reviews.zip"
    path.write_bytes(b"no zip")
    fails(lambda: raw.zipped(path.parent, path.name), str(path), "is damaged")


# --- what readers find ---------------------------------------------------------------

XQUAD = "xquad/xquad.de.json"
FOUND = {
    "a language without a segment": (
        "tico19", "tico19/en-ru.tsv.gz", (b"wiki_4:4", b"wiki_4:5"),
        "en-ru.tsv has other segments than en-fr.tsv",
    ),
    "a row without its translation": (
        "tico19", "tico19/en-fr.tsv.gz", ("\tfr – 2".encode(), b""),
        "en-fr.tsv line 2 is not DOCUMENT:NUMBER, English, translation",
    ),
    "a span beyond the meeting": (
        "qmsum", "qmsum/val.jsonl.gz", (b'[["0", "1"]]', b'[["0", "2"]]'),
        "meeting val0 has the span 0-2 of 2 turns",
    ),
    "a line that is no JSON": (
        "qmsum", "qmsum/val.jsonl.gz", (b'{"meeting_id"', b'{"meeting_id'),
        "val.jsonl line 1 is not JSON",
    ),
    "an answer that stands elsewhere": (
        "xquad", XQUAD, (b'"answer_start": 12', b'"answer_start": 11'),
        "xquad.de.json: the answer to q is not where it says",
    ),
    "a pronoun that stands elsewhere": (
        "gap", "gap/gap-validation.tsv", (b"\tshe\t22", b"\tshe\t21"),
        "gap-validation.tsv line 2: 'she' is not at 21 of the text",
    ),
    "a row without its page": (
        "gap", "gap/gap-validation.tsv", (b"\thttp://page/0", b""),
        "gap-validation.tsv line 2 has 10 of 11 columns",
    ),
    "another table": (
        "gap", "gap/gap-validation.tsv", (b"ID\t", b"id\t"),
        "gap-validation.tsv has other columns than ID, Text",
    ),
    "a sentence without a pronoun": (
        "winobias", "winobias/pro_stereotyped_type1.txt.dev", (b"[he]", b"he"),
        "type1.txt.dev line 1 has no [entity] or no [pronoun]",
    ),
    "a sentence without the other of its pair": (
        "winobias", "winobias/pro_stereotyped_type1.txt.dev", (b"the clerk", b"a man"),
        "type1.txt.dev line 1 does not name 'the clerk', the other of its pair",
    ),
    "an expression without a value": (
        "listops_d8", "listops_spinn/test_d8.tsv.gz", (b"3\t", b"three\t"),
        "test_d8.tsv line 4 is not VALUE, a tab, TREE",
    ),
    "a label beyond the names": (
        "listops_d8", "listops_spinn/test_d8.tsv.gz", (b"3\t", b"13\t"),
        "has the label 13; it must be 0 to 9",
    ),
    "a text without an article": (
        "wikitext2", "wikitext2_valid_test/test.txt", (b" = f = \n", b" f \n"), None,
    ),
    "a row that is missing": (
        "etth1", "ett/ETTh1.csv.gz",
        (b"2016-07-01 03:00:00" + b",3.5" * 7 + b"\n", b""),
        "ETTh1.csv line 5 is 2 hours after the last",
    ),
    "a value that is missing": (
        "etth1", "ett/ETTh1.csv.gz", (b"3.5,3.5", b"3.5,"),
        "ETTh1.csv line 5 has ''; it must be a finite number",
    ),
    "a value too few": (
        "etth1", "ett/ETTh1.csv.gz", (b"3.5,3.5", b"3.5"),
        "ETTh1.csv line 5 has 6 values of 7",
    ),
    "a value that is no number": (
        "etth1", "ett/ETTh1.csv.gz", (b"3.5", b"many"),
        "line 5 has 'many'; it must be a finite number",
    ),
    "a value that is not finite": (
        "etth1", "ett/ETTh1.csv.gz", (b"3.5", b"nan"),
        "line 5 has 'nan'; it must be a finite number",
    ),
    "a date that is none": (
        "etth1", "ett/ETTh1.csv.gz", (b"2016-07-01 03:00", b"1 July"),
        "line 5 has the date '1 July:00'",
    ),
    "a table of other columns": (
        "etth1", "ett/ETTh1.csv.gz", (b"HUFL", b"A"), "must be date, HUFL, HULL",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", FOUND)
def test_a_raw_file_that_a_reader_refuses(mistake, tmp_path):
    name, path, change, words = FOUND[mistake]
    data = made.data_set(name, tmp_path)
    edited(tmp_path / path, change)
    if words is None:  # one article fewer is found by the count of examples
        words = "wikitext2 has 1 test examples; it must be 2"
    fails(lambda: made.read(data, tmp_path), words)


def test_a_table_that_is_too_short(tmp_path):
    data = made.data_set("etth1", tmp_path)
    path = tmp_path / "ett" / "ETTh1.csv.gz"
    lines = gzip.decompress(path.read_bytes()).splitlines()[:9]
    path.write_bytes(gzip.compress(b"\n".join(lines)))
    fails(lambda: made.read(data, tmp_path), "has 8 hours; it must be at least 10")


def test_waves_of_another_rate(tmp_path):
    data = made.data_set("fsdd", tmp_path)
    made.fsdd(tmp_path / "fsdd", rate=16_000)
    words = "has 16000 samples a second; it must be 8000"
    fails(lambda: made.read(data, tmp_path), "fsdd_8k_int16.npz", words)


def test_a_file_of_images_that_is_none(tmp_path):
    data = made.data_set("mnist_t10k", tmp_path)
    path = tmp_path / "mnist_t10k" / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(made.idx(np.zeros((2, 2), np.uint8))))
    fails(lambda: made.read(data, tmp_path), "must be an IDX file of bytes in 1 axes")
    path.write_bytes(gzip.compress(made.idx(np.zeros(20, np.uint8))[:-1]))
    fails(lambda: made.read(data, tmp_path), "has 19 values; it must be [20]")


def test_images_without_pillow(tmp_path, monkeypatch):
    data = made.data_set("omniglot_small", tmp_path)
    monkeypatch.setitem(sys.modules, "PIL", None)
    fails(lambda: made.read(data, tmp_path), "pip install .[media]")


# --- examples against their schema ---------------------------------------------------

DATA = dataclasses.replace(
    made.DATA_SETS["gap"],
    features={
        "text": schema.text("words"),
        "label": schema.label("ab", "a letter"),
        "points": schema.array("uint8", (None, 2), "pairs"),
        "notes": schema.texts("words"),
    },
    examples={"train": 1, "validation": 0, "test": 0},
)
GOOD = {
    "text": b"a",
    "label": 1,
    "points": np.zeros((3, 2), int),
    "notes": [b"b", b"c"],
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"label": 2}, "gap: example 0 of train has the label 2; it must be 0 to 1"),
        ({"label": -1}, "has the label -1"),
        ({"text": b""}, "gap: example 0 of train has an empty text"),
        ({"text": b" \n"}, "has an empty text"),
        ({"notes": [b"b", b""]}, "has an empty notes"),
        (
            {"points": np.zeros((3, 3))},
            "has points of shape (3, 3); it must be (None, 2)",
        ),
        ({"points": np.zeros(2)}, "has points of shape (2,)"),
        ({"points": np.full((1, 2), 256)}, "has points that uint8 cannot hold"),
        ({"points": np.full((1, 2), -1)}, "has points that uint8 cannot hold"),
        ({"more": 1}, "they must be text, label, points, notes"),
    ],
)
def test_an_example_that_does_not_fit_its_schema(change, words):
    fails(lambda: schema.collect(DATA, [("train", {**GOOD, **change})]), words)


def test_splits_and_counts_that_are_not_the_catalogues():
    schema.collect(DATA, [("train", GOOD)])
    fails(lambda: schema.collect(DATA, []), "gap has 0 train examples; it must be 1")
    fails(lambda: schema.collect(DATA, [("dev", GOOD)]), "Unknown split of gap 'dev'")


def test_numbers_that_are_not_finite():
    feature = schema.array("float32", (None,), "numbers")
    for value in (np.nan, np.inf, 1e39):
        with np.errstate(over="ignore"):
            words = f"holds {value} at [1] of x; every number must be finite"
            fails(lambda v=value: schema.fit(feature, "x", [1.0, v], {}), words)


def test_bytes_that_are_no_utf8_are_replaced_and_counted_and_none_moves(tmp_path):
    data = made.data_set("gap", tmp_path)
    clean = made.read(data, tmp_path)
    for name in ("development", "validation"):
        path = tmp_path / "gap" / f"gap-{name}.tsv"
        # As Latin-1 writes it, the letter is one byte, and not UTF-8.
        path.write_bytes(path.read_bytes().replace("ë".encode(), b"\xeb"))
    found = made.read(data, tmp_path)
    assert clean.replaced == {} and found.replaced == {"text": 13}
    for example in found.splits["test"]:
        assert example["text"][slice(*example["a"])] == b"Zo?"
        assert example["text"][slice(*example["pronoun"])] == b"she"


@pytest.mark.parametrize(
    ("content", "want"),
    [
        ("é – 漢 🙂".encode(), "é – 漢 🙂".encode()),
        (b"a\xffb", b"a?b"),
        (b"\xe2\x80", b"??"),
        ("é".encode()[:1] + b"x", b"?x"),
        (b"\xed\xa0\x80", b"???"),
    ],
)
def test_as_utf8_keeps_every_byte_where_it_is(content, want):
    assert schema.as_utf8(content) == want


def test_json_may_spell_half_a_surrogate_pair_or_hold_bytes_that_are_no_utf8():
    assert schema.as_utf8(raw.encoded(json.loads('"a\\ud800b"'))) == b"a???b"
    assert raw.encoded(raw.parsed(b'"\xff"', "here")) == b"\xff"
    fails(lambda: raw.parsed(b"{", "here"), "here is not JSON (")
