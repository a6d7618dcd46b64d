"""Folders of a user: classes, documents, pairs of texts, sets that `datasets` saves."""

from pathlib import Path

import numpy as np
import pyarrow
import pytest
import soundfile
from PIL import Image

from attn_research.tasks.contract import SPLITS
from tests.own_data.reading import refused, reviews, seen, table

DRAW = np.random.default_rng(0)


def texts(root, count=24, first=0):
    for n, (text, label) in enumerate(reviews(count, first)):
        path = root / label / f"{n:03}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def pixels(n: int) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 256, (6, 5), np.uint8)


def images(root, count=24, **more):
    for n in range(count):
        path = root / ("cat", "dog")[n % 2] / f"{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels(n)).save(path, **more)


def sounds(root, count=24, rate=8000, form="wav"):
    for n in range(count):
        path = root / ("low", "high")[n % 2] / f"{n}.{form}"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.random.default_rng(n).integers(-99, 99, 300, np.int16),
                        rate, subtype="PCM_16")  # fmt: skip


def test_a_folder_for_each_class_of_texts(tmp_path):
    texts(tmp_path / "all")
    (tmp_path / "all" / "no" / "notes.pdf").write_bytes(b"x")
    (tmp_path / "all" / "no" / ".hidden.txt").write_bytes(b"\xff")
    found = seen(tmp_path / "all")
    assert found.found.digest == seen(table(tmp_path / "a.csv", [
        row for label in ("no", "yes") for row in reviews(24) if row[1] == label
    ])).found.digest  # fmt: skip
    assert "1 other file in" in found.lines and "no/000.txt:" in found.told
    (tmp_path / "all" / "no" / "000.txt").write_bytes(b"caf\xe9")
    refused("000.txt cannot be read", tmp_path / "all")
    refused("byte 0xe9 in position 3", tmp_path / "all")


def test_folders_of_splits_hold_folders_of_classes(tmp_path):
    for n, name in enumerate(("train", "valid", "test")):
        texts(tmp_path / "all" / name, 8, 8 * n)
    found = seen(tmp_path / "all")
    for n, split in enumerate(SPLITS):
        assert found.texts(split) == {text for text, _ in reviews(8, 8 * n)}
    texts(tmp_path / "all" / "more")
    refused("holds the folder more beside folders of splits", tmp_path / "all")


def test_loose_files_and_empty_classes_are_named(tmp_path):
    texts(tmp_path / "all")
    (tmp_path / "all" / "loose.txt").write_text("in no class")
    (tmp_path / "all" / "maybe").mkdir()
    found = seen(tmp_path / "all")
    assert f"1 other file in {tmp_path / 'all'} is left out, first loose.txt." in (
        found.told
    )
    assert "which are no class: 1, first maybe." in found.lines
    for n, name in enumerate(("train", "valid", "test")):
        texts(tmp_path / "split" / name, 8, 8 * n)
        (tmp_path / "split" / name / "more.txt").write_text("in no class")
    (tmp_path / "split" / "test" / "maybe").mkdir()
    found = seen(tmp_path / "split")
    assert "3 other files" in found.lines and "first test/more.txt." in found.lines
    assert "which are no class: 1, first test/maybe." in found.lines


@pytest.mark.parametrize("kind", ["classification", "image_classification", "text",
                                  "translation", "forecasting"])  # fmt: skip
def test_an_empty_folder_is_refused(kind, tmp_path):
    refused(
        f"holds nothing that is read as {kind}; it must hold tables", tmp_path, kind
    )


def test_documents_of_a_folder(tmp_path):
    for n, (text, _) in enumerate(reviews(12)):
        table(tmp_path / f"{n % 2}" / f"{n}.txt", [], header=(text,))
    found = seen(tmp_path, "text")
    assert {row["text"].decode() for row in found.rows()} == {
        f"{text}\n" for text, _ in reviews(12)
    }
    alone = tmp_path / "0" / "0.txt"
    refused("is one text, which --task='text(path=...)' reads", alone, "text")


# --- images and recordings -----------------------------------------------------------


@pytest.mark.parametrize("kind", ["image_classification", "audio_classification"])
def test_a_folder_may_be_named_from_here(kind, tmp_path, monkeypatch):
    (images if kind.startswith("image") else sounds)(tmp_path / "all")
    whole = seen(tmp_path / "all", kind)
    monkeypatch.chdir(tmp_path)
    assert seen(Path("all"), kind).found.digest == whole.found.digest
    monkeypatch.chdir(tmp_path / "all")
    assert seen(Path("."), kind).found.digest == whole.found.digest
    assert seen(Path("../all"), kind).found.digest == whole.found.digest


def test_damaged_notes_of_a_camera_leave_the_pixels(tmp_path):
    images(tmp_path, exif=b"Exif\0\0no notes")
    found = seen(tmp_path, "image_classification")
    stored = {row["image"].tobytes() for row in found.rows()}
    assert stored == {pixels(n).tobytes() for n in range(24)}


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_photos_are_turned_as_their_camera_was_held(mode, tmp_path):
    turned = Image.Exif()
    turned[0x112] = 6  # the top of the scene is the right edge of what is stored
    for n in range(24):
        path = tmp_path / ("cat", "dog")[n % 2] / f"{n}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels(n)).convert(mode).save(path, exif=turned)
    found = seen(tmp_path, "image_classification")
    stored = {row["image"].reshape(5, 6, -1)[..., 0].tobytes() for row in found.rows()}
    assert stored == {pixels(n)[::-1].T.tobytes() for n in range(24)}


def test_images_of_folders_are_their_pixels(tmp_path):
    images(tmp_path)
    found = seen(tmp_path, "image_classification")
    stored = {row["image"].tobytes() for row in found.rows()}
    assert stored == {pixels(n).tobytes() for n in range(24)}
    assert found.found.data.features["image"].shape == (6, 5)
    assert found.found.data.features["label"].names == ("cat", "dog")


def test_colour_makes_all_coloured_and_transparency_is_white(tmp_path):
    images(tmp_path)
    clear = np.zeros((6, 5, 4), np.uint8)
    Image.fromarray(clear).save(tmp_path / "cat" / "clear.png")
    found = seen(tmp_path, "image_classification")
    assert found.found.data.features["image"].shape == (6, 5, 3)
    assert any(np.all(row["image"] == 255) for row in found.rows())
    grey = next(r["image"] for r in found.rows() if r["image"].min() < 255)
    np.testing.assert_array_equal(grey[..., 0], grey[..., 2])


def test_images_of_other_sizes_are_refused_or_resized(tmp_path):
    images(tmp_path)
    Image.new("L", (9, 8), 7).save(tmp_path / "dog" / "z.png")
    refused("dog/z.png has 8 x 9 pixels, that of cat/0.png 6 x 5; they must be of one "
            "size: --size=6x5", tmp_path, "image_classification")  # fmt: skip
    found = seen(tmp_path, "image_classification", size="6x5")
    assert pixels(3).tobytes() in {row["image"].tobytes() for row in found.rows()}
    assert np.full((6, 5), 7, np.uint8).tobytes() in {
        row["image"].tobytes() for row in found.rows()
    }
    refused("must be HEIGHTxWIDTH", tmp_path, "image_classification", size="6")
    (tmp_path / "dog" / "z.png").write_bytes(b"\x89PNG and no more")
    refused("dog/z.png cannot be read", tmp_path, "image_classification")


def test_a_table_names_images_and_bytes_may_hold_them(tmp_path):
    images(tmp_path / "all")
    rows = [(f"{('cat', 'dog')[n % 2]}/{n}.png", n % 3) for n in range(24)]
    path = table(tmp_path / "all" / "labels.csv", rows, header=("file", "label"))
    found = seen(tmp_path / "all", "image_classification")
    assert found.found.data.features["label"].names == ("0", "1", "2")
    held = [
        {
            "image": {"bytes": (path.parent / file).read_bytes(), "path": None},
            "label": n,
        }
        for file, n in rows
    ]
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(held), tmp_path / "a.parquet")
    other = seen(tmp_path / "a.parquet", "image_classification")
    assert other.found.digest == found.found.digest
    table(path, [*rows, ("cat/none.png", 1)], header=("file", "label"))
    refused("labels.csv line 26 names", tmp_path / "all", "image_classification")


@pytest.mark.parametrize("form", ["wav", "flac"])
def test_recordings_of_folders_are_their_samples(form, tmp_path):
    sounds(tmp_path, form=form)
    found = seen(tmp_path, "audio_classification", length=200)
    stored = {row["audio"].tobytes() for row in found.rows()}
    assert stored == {
        np.random.default_rng(n).integers(-99, 99, 300, np.int16).tobytes()
        for n in range(24)
    }
    assert "audio: 300 samples in the median" in found.lines
    sounds(tmp_path, 1, rate=16000, form=form)
    refused(
        "16,000 samples a second; it must be 8,000", tmp_path, "audio_classification"
    )
    (tmp_path / "low" / f"0.{form}").write_bytes(b"RIFF")
    refused("cannot be read", tmp_path, "audio_classification")
