"""The splits of a user's rows: drawn, given, grouped; copies and leaks."""

import pytest

from attn_research.tasks.contract import SPLITS
from attn_research.tasks.data.own.plain import plain
from tests.own_data.reading import refused, reviews, seen, table


def test_rows_that_are_added_move_no_other(tmp_path):
    few, many = (
        seen(table(tmp_path / f"{count}.csv", reviews(count))) for count in (200, 400)
    )
    for split in SPLITS:
        assert few.texts(split) and few.texts(split) <= many.texts(split)
    assert 20 < len(many.texts("test")) < 60


def test_a_column_names_the_splits(tmp_path):
    words = ["train", "Train", "dev", "test"]
    rows = [(*row, words[n % 4]) for n, row in enumerate(reviews())]
    header = ("text", "label", "part")
    path = table(tmp_path / "a.csv", rows, header=header)
    found = seen(path, split="part")
    for split, word in zip(
        SPLITS, (("train", "Train"), ("dev",), ("test",)), strict=True
    ):
        assert found.texts(split) == {text for text, _, own in rows if own in word}
    bad = table(tmp_path / "b.csv", [*rows, ("more", "yes", "tset")], header=header)
    refused("b.csv line 42 has the split 'tset'", bad, split="part")
    none = table(tmp_path / "c.csv", [(*r[:2], "test") for r in rows], header=header)
    refused("one of them must be train", none, split="part")


def test_files_of_a_folder_are_splits_and_absent_ones_are_drawn(tmp_path):
    for name, low, high in (
        ("train", 0, 200),
        ("val", 200, 220),
        ("test-00", 220, 240),
    ):
        table(tmp_path / "all" / f"{name}.csv", reviews(high - low, low))
    found = seen(tmp_path / "all")
    assert [len(found.texts(split)) for split in SPLITS] == [200, 20, 20]
    assert "train.csv line 2:" in found.told
    (tmp_path / "all" / "val.csv").unlink()
    found = seen(tmp_path / "all")
    assert "has no validation split: it is drawn from the rows of train" in found.lines
    assert len(found.texts("test")) == 20
    assert 5 < len(found.texts("validation")) < 40
    table(tmp_path / "all" / "more.csv", reviews(9, 240))
    refused("holds more.csv beside tables of splits", tmp_path / "all")
    table(tmp_path / "all" / "more.csv", reviews(9, 240), header=("text", "class"))
    (tmp_path / "all" / "more.csv").rename(tmp_path / "all" / "dev.csv")
    refused("differ in the columns class, label", tmp_path / "all")


def test_parts_of_one_table_are_joined(tmp_path):
    for number in range(3):
        table(tmp_path / "all" / f"part{number}.csv", reviews(20, 20 * number))
    whole = table(tmp_path / "whole.csv", reviews(60))
    assert seen(tmp_path / "all").found.digest == seen(whole).found.digest


def test_groups_are_not_divided(tmp_path):
    rows = [(*row, f"patient {n // 5}") for n, row in enumerate(reviews(200))]
    header = ("text", "label", "who")
    found = seen(table(tmp_path / "a.csv", rows, header=header), group="who")
    owner = {text: who for text, _, who in rows}
    owners = [{owner[text] for text in found.texts(split)} for split in SPLITS]
    assert all(owners) and len(set.union(*owners)) == sum(map(len, owners)) == 40
    alone = seen(tmp_path / "a.csv")
    owners = [{owner[text] for text in alone.texts(split)} for split in SPLITS]
    assert len(set.union(*owners)) < sum(map(len, owners))


def test_a_group_in_two_given_splits_is_refused(tmp_path):
    words = ["train", "validation", "test"]
    rows = [(*row, n // 5, words[n // 5 % 3]) for n, row in enumerate(reviews(60))]
    header = ("text", "label", "who", "part")
    seen(table(tmp_path / "a.csv", rows, header=header), group="who", split="part")
    rows[7] = (*rows[7][:2], 0, rows[7][3])
    path = table(tmp_path / "a.csv", rows, header=header)
    refused("a.csv line 9 (validation) is of the same group as a.csv line 2 (train)",
            path, group="who", split="part")  # fmt: skip


def test_copies_share_a_split_and_are_counted(tmp_path):
    rows = [*reviews(), *reviews(3), ("apple number 0 is bad", "yes")]
    found = seen(table(tmp_path / "a.csv", rows))
    texts = [found.texts(split) for split in SPLITS]
    assert len(set.union(*texts)) == sum(map(len, texts)) == 40
    assert (
        "3 rows repeat an earlier row of the same split, first a.csv line 42 after "
        "a.csv line 2: left out." in found.lines
    )
    assert "1 row contradicts an earlier row of the same content" in found.lines
    assert len(found.rows()) == 41


def test_a_text_in_two_given_splits_stays_in_the_later(tmp_path):
    rows = [(*row, "train validation test".split()[n % 3]) for n, row in
            enumerate(reviews(30))]  # fmt: skip
    rows += [(*reviews()[2], "train"), (*reviews()[2], "validation"),
             (*reviews()[1], "train")]  # fmt: skip
    path = table(tmp_path / "a.csv", rows, header=("text", "label", "part"))
    found = seen(path, split="part")
    texts = [found.texts(split) for split in SPLITS]
    assert len(set.union(*texts)) == sum(map(len, texts)) == len(found.rows()) == 30
    assert reviews()[2][0] in texts[2] and reviews()[1][0] in texts[1]
    assert (
        "1 row repeats in validation what is in test, first a.csv line 33 "
        "(a.csv line 4): left out." in found.lines
    )
    assert "2 rows repeat in train what is in validation or test" in found.lines


def shouted(text: str) -> str:
    """The same words in another case, with other spaces and other points."""
    return f"  {text.upper().replace(' ', ' - ')}!"


def test_near_copies_share_a_split_that_is_drawn(tmp_path):
    rows = [*reviews(60), *((shouted(text), label) for text, label in reviews(60))]
    found = seen(table(tmp_path / "a.csv", rows))
    assert len(found.rows()) == 120 and "but for case" not in found.lines
    for split in SPLITS:
        texts = found.texts(split)
        loud = {text for text in texts if text != text.lower()}
        assert {shouted(text) for text in texts - loud} == loud != set()


def test_a_near_copy_in_two_given_splits_is_told(tmp_path):
    rows = [(*row, "train validation test".split()[n % 3]) for n, row in
            enumerate(reviews(30))]  # fmt: skip
    rows += [(shouted(reviews()[2][0]), "no", "train"),
             (shouted(reviews()[2][0]) + "!", "no", "validation")]  # fmt: skip
    path = table(tmp_path / "a.csv", rows, header=("text", "label", "part"))
    found = seen(path, split="part")
    assert len(found.rows()) == 32
    for split, later, line in (
        ("train", "validation or test", 32),
        ("validation", "test", 33),
    ):
        assert (
            f"1 row repeats in {split} what is in {later} but for case, spaces and "
            f"punctuation, first a.csv line {line} (a.csv line 4): it stays."
            in found.lines
        )


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Good, really good!", "good   really\tGOOD", True),
        ("«Straße»", "strasse", True),
        ("ﬁne café", "Fine CAFÉ", True),  # a ligature, an accent of its own
        ("3 + 4", "3 = 4", False),  # symbols count
        ("की", "का", False),  # so do marks, which are vowels in some scripts
        ("not good", "notgood", False),
        ("...", "???", False),  # nothing is left of either
    ],
)
def test_what_tells_texts_apart(one, other, same):
    assert (plain(one.encode()) == plain(other.encode())) == same


def test_a_split_that_nothing_is_left_of_is_refused(tmp_path):
    rows = [(*row, "train") for row in reviews()]
    rows += [(*rows[0][:2], "validation"), (*rows[0][:2], "test")]
    path = table(tmp_path / "a.csv", rows, header=("text", "label", "part"))
    refused("has no row left for its validation split", path, split="part")


@pytest.mark.parametrize("count", [2, 4])
def test_too_few_rows_are_refused(count, tmp_path):
    refused(f"has {count} rows of {count} different contents, too few",
            table(tmp_path / "a.csv", reviews(count)))  # fmt: skip


def test_too_few_groups_are_refused(tmp_path):
    rows = [(*row, "one") for row in reviews(60)]
    path = table(tmp_path / "a.csv", rows, header=("text", "label", "who"))
    refused("has 60 rows of 1 different group, too few", path, group="who")
