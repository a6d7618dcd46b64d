"""A user's files are assigned by content: what is added or renamed moves no other."""

import numpy as np
import pytest

from attn_research import tasks
from attn_research.options import BadInput
from attn_research.tasks import SPLITS
from attn_research.tasks.data import splits, waves
from attn_research.tasks.data.splits import RECORDINGS, TEXTS, Member, assigned
from attn_research.tasks.parts.texts import read
from tests.tasks.data.waves_test import store

DRAW = np.random.default_rng(5)


def members(count, labels="ab"):
    return [
        Member(DRAW.bytes(8), f"{n}", labels[n % len(labels)]) for n in range(count)
    ]


def held(rows, shares=RECORDINGS):
    return assigned(rows, shares, "some", "or else")


@pytest.mark.parametrize(("count", "labels"), [(300, "ab"), (400, ("",))])
def test_more_files_move_no_old_one(count, labels):
    rows = members(count, labels)
    for size in (count // 2, count // 2 + 12, count):
        assert held(rows[:size]) == held(rows)[:size]
    shuffled = DRAW.permutation(count)
    assert [held([rows[n] for n in shuffled])[p] for p in range(count)] == [
        held(rows)[n] for n in shuffled
    ]


@pytest.mark.parametrize("shares", [RECORDINGS, TEXTS])
def test_the_shares_are_those_of_the_slots(shares):
    found = held(members(8000, ("",)), shares)
    for split, slots in zip(SPLITS[1:], shares, strict=True):
        share = slots / splits.SLOTS
        deviation = (8000 * share * (1 - share)) ** 0.5
        assert abs(found.count(split) - 8000 * share) < 4 * deviation


@pytest.mark.parametrize("labels", ["ab", "abcde", ("",)])
def test_few_files_leave_no_part_empty_or_of_one_class(labels):
    """And with twelve of a class, what was learned from is not tested later."""
    wanted = min(2, len(labels))
    for count in (3 * len(labels), 4 * len(labels) + 1, 24):
        for _ in range(15):
            rows = members(count + 12, labels)
            few, more = held(rows[:count]), held(rows)
            for found in (few, more):
                for split in SPLITS:
                    own = {
                        r.label for r, s in zip(rows, found, strict=False) if s == split
                    }
                    assert len(own) >= wanted
                assert {
                    r.label for r, s in zip(rows, few, strict=False) if s == "train"
                } == set(labels)
            moved = [a for a, b in zip(few, more, strict=False) if a != b]
            assert len(moved) <= 4
            assert count < 24 or len(labels) > 2 or "train" not in moved


def test_copies_share_a_split_unless_there_is_nothing_else():
    rows = members(100)
    twins = [Member(row.key, f"copy of {row.name}", row.label) for row in rows]
    found = held([*rows, *twins])
    assert found[:100] == found[100:]
    same = [Member(b"x" + b"ab"[n % 2 : n % 2 + 1], f"{n}", "ab"[n % 2])
            for n in range(40)]  # fmt: skip
    assert set(held(same)) == set(SPLITS)
    groups = [Member(b"one") for _ in range(9)] + [Member(b"two") for _ in range(9)]
    with pytest.raises(BadInput, match="some has 18 files, too few for a .*, or else"):
        held(groups)


def test_splits_that_are_given_stay():
    rows = [
        member._replace(split="test" if n < 5 else None)
        for n, member in enumerate(members(60))
    ]
    found = held(rows)
    assert found[:5] == ["test"] * 5 and "validation" in found[5:]


def test_recordings_that_are_renamed_or_added_stay(tmp_path):
    before = tmp_path / "before"
    waves_N = [DRAW.integers(-999, 999, 100) for _ in range(92)]
    for n, wave_L in enumerate(waves_N[:80]):
        store(before / "ab"[n % 2] / f"{n}.wav", wave_L)
        store(tmp_path / "after" / "ab"[n % 2] / f"{99 - n}.wav", wave_L)
    old = {row.file: row.split for row in waves.listed(str(before))}
    new = {row.file: row.split for row in waves.listed(str(tmp_path / "after"))}
    for n in range(80):
        assert old[f"{'ab'[n % 2]}/{n}.wav"] == new[f"{'ab'[n % 2]}/{99 - n}.wav"]
    for n, wave_L in enumerate(waves_N[80:], 80):
        store(before / "ab"[n % 2] / f"{n}.wav", wave_L)
    more = {row.file: row.split for row in waves.listed(str(before))}
    assert {file: more[file] for file in old} == old


def test_texts_that_are_renamed_or_added_stay(tmp_path):
    for n in range(100):
        (tmp_path / f"{n}.txt").write_text(f"{n:03}" * 9)

    def found():
        texts = read(str(tmp_path))
        return {s: set(bytes(texts[s]).split(b"\0")) for s in SPLITS}

    old = found()
    for n in range(100):
        (tmp_path / f"{n}.txt").rename(tmp_path / f"renamed {n}.txt")
    assert found() == old
    for n in range(100, 140):
        (tmp_path / f"{n}.txt").write_text(f"{n:03}" * 9)
    assert all(old[split] <= found()[split] for split in SPLITS)


def test_three_files_are_enough_and_two_are_not(tmp_path):
    for n in range(2):
        (tmp_path / f"{n}.py").write_text(f"{n}" * 90)
    with pytest.raises(BadInput, match="or be one file"):
        read(str(tmp_path))
    (tmp_path / "2.py").write_text("2" * 90)
    assert all(part.size == 90 for part in read(str(tmp_path)).values())
    task = tasks.make(f"code(path={tmp_path},length=64)")
    assert np.diff(task.arrays()["text"].offsets_N).tolist() == [90, 90, 90]
