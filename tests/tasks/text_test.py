"""Text from files: splits that share nothing, distances that an oracle confirms."""

import jax
import numpy as np
import pytest

from attn_research.options import BadInput
from attn_research.tasks.contract import SPLITS
from attn_research.tasks.data import packed
from attn_research.tasks.parts.sets import Stretches
from attn_research.tasks.parts.texts import read
from attn_research.tasks.text import Text, documents, repeat_distance
from tests.tasks import oracles


def test_repeat_distance_is_the_naive_one():
    tokens = np.random.default_rng(0).integers(0, 3, (20, 50))
    for order, scale in ((4, 100), (2, 30_000)):  # the largest need all of their bits
        found = jax.jit(repeat_distance, static_argnums=1)(tokens * scale, order)
        for row in range(20):
            wanted = oracles.repeats(tokens[row], order)
            np.testing.assert_array_equal(found[row], wanted)


def test_one_file_is_split_by_blocks(tmp_path):
    content = bytes(range(1, 201))
    (tmp_path / "one.txt").write_bytes(content)
    parts = read(str(tmp_path / "one.txt"))
    joined = b"".join(bytes(parts[s]) for s in ("train", "validation", "test"))
    assert joined == content
    assert [parts[s].size for s in parts] == [180, 10, 10]


def test_a_directory_is_split_by_file_and_no_byte_is_shared(tmp_path):
    for i in range(100):
        (tmp_path / f"{i}.txt").write_bytes(bytes([33 + i]) * 10)
    parts = read(str(tmp_path))
    sets = {split: set(data.tolist()) - {0} for split, data in parts.items()}
    assert sum(map(len, sets.values())) == 100
    assert len(set.union(*sets.values())) == 100
    assert len(sets["train"]) > 75 and all(sets.values())


def test_the_texts_of_a_data_set_keep_their_splits(data_sets):
    parts = documents("subjectivity", "", "text")
    for split, columns in packed.load("subjectivity").items():
        texts = dict.fromkeys(bytes(text) for text in columns["text"])
        assert bytes(parts[split]).split(b"\0") == list(texts) != []
    with pytest.raises(BadInput, match="text"):
        documents("fsdd", "", "text")


def test_windows_stay_in_their_split_and_segments_at_their_file(tmp_path):
    (tmp_path / "f").write_bytes(b"a" * 900 + b"b" * 50 + b"c" * 50)
    task = Text(path=str(tmp_path / "f"), length=8)
    key = jax.random.key(0)
    draw = jax.jit(lambda split, arrays: task.batch(key, split, 64, arrays))
    for split, letter in enumerate("abc"):
        batch = draw(split, task.arrays())
        assert set(np.asarray(batch.inputs).ravel()) == {ord(letter)}
        assert set(np.asarray(batch.targets).ravel()) == {ord(letter)}
    joined = np.frombuffer(b"abc\0def\0gh" * 100, np.uint8)
    edges = np.array([0, 1000, 1000, 1000], np.int32)
    batch = draw(0, {"text": Stretches(joined, edges)})
    inputs, segments = np.asarray(batch.inputs), np.asarray(batch.segments)
    assert np.all(np.diff(segments, axis=1) == (inputs[:, 1:] == 0))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda p: p / "none", "does not exist"),
        (lambda p: (p / "empty").touch() or p / "empty", "is empty"),
        (lambda p: (p / "d").mkdir() or p / "d", "it must hold files"),
        (
            lambda p: (p / "short").write_text("abc") and p / "short",
            "it must be at least",
        ),
    ],
)
def test_a_bad_path_is_one_sentence(make, sentence, tmp_path):
    path = str(make(tmp_path))
    with pytest.raises(BadInput) as caught:
        Text(path=path).arrays()
    assert sentence in str(caught.value) and path in str(caught.value)


def test_bytes_that_are_no_utf8_are_counted_and_kept(tmp_path):
    path = tmp_path / "latin"
    path.write_bytes("é\n".encode("latin-1") * 50 + "é".encode() * 50)
    task = Text(path=str(path), length=4)
    arrays = task.arrays()
    assert arrays["text"].values_L.tobytes() == path.read_bytes()
    assert task.notes(arrays) == [
        f"50 bytes of {path} are not UTF-8; they are read as they are."
    ]
    path.write_text("plain " * 50)
    assert task.notes(task.arrays()) == []


def test_an_unreadable_path_is_one_sentence(tmp_path, monkeypatch):
    path = tmp_path / "secret"
    path.write_text("x" * 1000)

    def refuse(*_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("os.preadv", refuse)
    with pytest.raises(BadInput, match="cannot be read: Permission denied"):
        Text(path=str(path)).arrays()


def test_the_standard_library_is_there():
    parts = read("stdlib")
    assert all(data.size > 300_000 for data in parts.values())
    assert b"import" in bytes(parts["train"][:100_000])


PROSE = "The quick brown fox jumps over the lazy dog; so does the vixen.\n" * 40


@pytest.mark.parametrize(
    "encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
def test_a_text_in_another_encoding_is_read_as_utf_8(encoding, tmp_path):
    """In UTF-16 every other byte is 0, which would end a segment after each letter."""
    file = tmp_path / "notes.txt"
    file.write_bytes(PROSE.encode(encoding))
    found = read(str(file))
    assert b"".join(found[split].tobytes() for split in SPLITS) == PROSE.encode()


def test_bytes_that_are_no_text_stay_as_they_are(tmp_path):
    content = bytes(np.random.default_rng(0).integers(0, 256, 4000, np.uint8))
    (tmp_path / "noise").write_bytes(content)
    found = read(str(tmp_path / "noise"))
    assert b"".join(found[split].tobytes() for split in SPLITS) == content


def test_links_are_followed_once_and_leftovers_are_not_read(tmp_path):
    """A link to the folder itself would never end."""
    for folder in ("elsewhere", "corpus/own"):
        (tmp_path / folder).mkdir(parents=True)
        for number in range(60):
            (tmp_path / folder / f"{number}.txt").write_text(PROSE)
    corpus = tmp_path / "corpus"
    (corpus / "big").symlink_to(tmp_path / "elsewhere")
    (corpus / "again").symlink_to(corpus)
    before = read(str(corpus), ".txt")
    assert sum(map(len, before.values())) >= 120 * len(PROSE)
    for name in ("._1.txt", "#1.txt", ".DS_Store.txt"):
        (corpus / "own" / name).write_text("left over")
    (corpus / "own" / "1.txt~").write_text("left over")
    after = read(str(corpus))
    for split in SPLITS:
        np.testing.assert_array_equal(before[split], after[split])
