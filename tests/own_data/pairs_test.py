"""Folders of a user with the same texts in several languages."""

import pytest

from attn_research.tasks.contract import SPLITS
from tests.own_data.reading import refused, seen


def pairs(root, name, low, high, form="{name}.{language}"):
    for language in ("en", "fr"):
        path = root / form.format(name=name, language=language)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{language} line {n}\n" for n in range(low, high)))


@pytest.mark.parametrize("form", ["{name}.{language}", "{language}/{name}.txt"])
def test_lines_of_two_languages_are_pairs(form, tmp_path):
    for name, low, high in (("train", 0, 30), ("dev", 30, 35), ("test", 35, 40)):
        pairs(tmp_path, name, low, high, form)
    found = seen(tmp_path, "translation")
    assert found.texts("validation", "fr") == {f"fr line {n}" for n in range(30, 35)}
    for row in found.rows():
        assert row["fr"] == row["en"].replace(b"en", b"fr")


def test_pairs_without_splits_are_drawn_and_must_agree(tmp_path):
    pairs(tmp_path, "a", 0, 60)
    found = seen(tmp_path, "translation")
    assert all(found.texts(split, "en") for split in SPLITS) and len(found.rows()) == 60
    with open(tmp_path / "a.fr", "a") as file:
        file.write("more\n")
    refused("are 60 in en, 61 in fr; line n of each must be a translation", tmp_path,
            "translation")  # fmt: skip
    pairs(tmp_path, "a", 0, 60)
    (tmp_path / "a.en").write_text("\n" * 30 + "x\n" * 30)
    refused("a line 1 has no en; it must have one", tmp_path, "translation")


def test_pairs_beside_those_of_splits_are_refused(tmp_path):
    for name in ("train", "dev", "test", "more"):
        pairs(tmp_path, name, 0, 30)
    refused("holds the texts more beside texts of splits", tmp_path, "translation")


def test_a_text_that_is_twice_in_a_language_is_refused(tmp_path):
    pairs(tmp_path, "a", 0, 30, "{language}/{name}.txt")
    (tmp_path / "en" / "a.html").write_text("other\n")
    refused("has a in en twice, as en/a.html and en/a.txt", tmp_path, "translation")
    (tmp_path / "en" / "a.html").unlink()
    pairs(tmp_path, "a", 0, 30)
    refused("has a in en twice, as a.en and en/a.txt", tmp_path, "translation")


def test_files_that_are_no_language_are_left_out_of_pairs(tmp_path):
    pairs(tmp_path, "a", 0, 60)
    alone = seen(tmp_path, "translation")
    for name in ("README.md", "clean.py", "LICENSE", "notes.txt", "README.en"):
        (tmp_path / name).write_text("one line\n")
    (tmp_path / "md").mkdir()
    found = seen(tmp_path, "translation")
    assert found.found.digest == alone.found.digest
    assert f"5 other files in {tmp_path} are left out, first LICENSE." in found.told
