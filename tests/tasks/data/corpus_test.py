"""Bytes that stay in their files, and texts that are refused before they are read."""

import os
import tracemalloc

import numpy as np
import pytest

from attn_research import trees
from attn_research.options import INT_MAX, BadInput
from attn_research.tasks import text
from attn_research.tasks.data import corpus, packed, schema
from attn_research.tasks.data.corpus import Bytes, Piece, stamp
from attn_research.tasks.masked import MaskedText
from attn_research.tasks.text import Text


def in_file(path, content: bytes, low: int = 0) -> Piece:
    path.write_bytes(b"#" * low + content + b"#")
    return Piece(len(content), low, path, stamp(path))


def sparse(path, size: int, written: dict[int, bytes]):
    """A file of zeros that takes no room, but for what is written at some places."""
    with open(path, "wb") as file:
        file.truncate(size)
        for place, content in written.items():
            file.seek(place)
            file.write(content)
    return path


def test_pieces_are_one_array_wherever_one_begins(tmp_path):
    draw = np.random.default_rng(0)
    contents = [bytes(draw.integers(0, 256, n, np.uint8)) for n in (1, 0, 700, 2, 64)]
    pieces = [
        in_file(tmp_path / "a", contents[0], 3),
        Piece(0),
        in_file(tmp_path / "b", contents[2]),
        Piece(2, held=contents[3]),
        in_file(tmp_path / "c", contents[4], 9),
    ]
    whole = np.frombuffer(b"".join(contents), np.uint8)
    bytes_L = Bytes(pieces)
    assert bytes_L.shape == whole.shape and bytes_L.dtype == whole.dtype
    np.testing.assert_array_equal(bytes_L[:], whole)
    for low, high in ((0, 1), (0, 5), (1, 1), (700, 710), (703, 767), (5, 99_999)):
        np.testing.assert_array_equal(bytes_L[low:high], whole[low:high])
    start_B = draw.integers(0, len(whole) - 70 + 1, 50)
    want_BT = np.stack([whole[start : start + 70] for start in start_B])
    np.testing.assert_array_equal(bytes_L.rows(start_B, 70), want_BT)
    for start in (-1, len(whole) - 69):
        with pytest.raises(IndexError):
            bytes_L.rows(np.array([start]), 70)
    part = pieces[2].part(10, 30).part(5, 12), pieces[3].part(1, 2)
    np.testing.assert_array_equal(Bytes(part)[:], np.r_[whole[16:23], whole[702:703]])
    assert trees.digest({"x": bytes_L}) == trees.digest({"x": whole})
    assert trees.digest({"x": Bytes(part)}) != trees.digest({"x": whole})


def test_places_beyond_32_bits_are_read(tmp_path):
    place = 2**32 + 2**31 + 11
    path = sparse(tmp_path / "far", place + 100, {place: b"far away"})
    bytes_L = Bytes([Piece(5, held=b"12345"), Piece(place + 100, 0, path, stamp(path))])
    (row_T,) = bytes_L.rows(np.array([place + 4]), 10)
    assert row_T.tobytes() == b"\0far away\0" and len(bytes_L) == place + 105


@pytest.mark.parametrize("change", ["longer", "shorter", "again", "gone"])
def test_a_file_that_changes_is_refused(change, tmp_path):
    path = tmp_path / "moving"
    bytes_L = Bytes([in_file(path, b"x" * 100)])
    if change == "gone":
        path.unlink()
    elif change == "again":
        os.utime(path, ns=(0, 1))
    else:
        path.write_bytes(b"x" * (150 if change == "longer" else 50))
    wrong = "cannot be read" if change == "gone" else "has changed while it was read"
    with pytest.raises(BadInput, match=f"moving {wrong}"):
        bytes_L[:10]


@pytest.fixture
def unread(monkeypatch):
    """Reading a file fails the test."""

    def refuse(*_):
        raise AssertionError("it was read")

    monkeypatch.setattr("os.preadv", refuse)
    monkeypatch.setattr("pathlib.Path.read_bytes", refuse)


@pytest.mark.parametrize("kind", [Text, MaskedText])
@pytest.mark.parametrize("options", [{}, {"subwords": 300}])
def test_a_text_beyond_int32_is_refused_before_it_is_read(
    kind, options, tmp_path, unread
):
    path = sparse(tmp_path / "large", INT_MAX + 1, {})
    (tmp_path / "folder").mkdir()
    for name in "ab":
        sparse(tmp_path / "folder" / name, INT_MAX // 2 + 1, {})
    for there in (path, tmp_path / "folder"):
        with pytest.raises(BadInput, match="2,147,483,648 bytes; it must be at most"):
            kind(path=str(there), **options).arrays()


def test_a_data_set_beyond_int32_is_refused_before_it_is_read(monkeypatch):
    feature = schema.Feature("text", "a text")
    offsets = np.array([0, 5, INT_MAX // 2], np.int64)
    column = packed.Column(feature, np.empty(0, np.uint8), offsets)
    assert column.size == INT_MAX // 2 and column.part(0, 1).size == 5
    columns = {split: {"text": column} for split in ("train", "validation", "test")}
    monkeypatch.setattr(text.sets, "loaded", lambda *_: columns)
    with pytest.raises(BadInput, match="texts of huge have 3,221,225,469 bytes; it"):
        Text(data="huge").arrays()


def test_a_text_is_in_memory_once_and_not_at_all_where_it_lies(tmp_path):
    size, path = 64_000_000, tmp_path / "prose"
    path.write_bytes(b"The same sentence again and again.\n" * (size // 35))
    size = path.stat().st_size

    def peak(call):
        tracemalloc.start()
        told = call()
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return told, most

    task = Text(path=str(path))
    held, most = peak(task.arrays)
    assert size < most < 1.5 * size
    lying, most = peak(task.stored)
    assert most < 1.2 * corpus.CHUNK
    assert trees.digest(held) == trees.digest(lying)
    assert task.notes(held) == task.notes(lying) == []


def test_bytes_that_are_not_utf_8_are_counted_across_the_ends_of_chunks(monkeypatch):
    draw = np.random.default_rng(1)
    pieces = ["a", "é", "漢", "🙂", b"\xff", b"\xe2\x80", b"\xf0", "b" * 7]
    stream = b"".join(
        part if isinstance(part, bytes) else part.encode()
        for part in draw.choice(np.array(pieces, object), 400)
    )
    decoded = stream.decode(errors="surrogateescape")
    want = sum("\udc80" <= letter <= "\udcff" for letter in decoded)
    assert want > 50
    for size in (1, 2, 3, 7, 10_000):
        monkeypatch.setattr(text, "CHUNK", size)
        assert text.strange_bytes(np.frombuffer(stream, np.uint8)) == want
