"""Files: replaced whole, appended whole, named safely, told in one sentence."""

import errno
import json
import os
import random
import subprocess
import sys

import pytest

from attn_research.host import durable
from attn_research.host.durable import (
    Damaged,
    DiskError,
    atomic_write,
    check_name,
    clear,
    read_json,
    write_json,
)
from attn_research.host.journal import Journal, read_journal
from attn_research.host.lock import Lock
from attn_research.options import BadInput


def test_atomic_write_replaces_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    atomic_write(path, "one")
    atomic_write(path, b"two")
    assert path.read_bytes() == b"two"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    atomic_write(path, "old")

    def full(handle):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskError, match="No space left"):
        atomic_write(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_write_syncs_the_file_before_its_name_and_the_directory_after(
    tmp_path, monkeypatch
):
    calls = []
    fsync, replace = os.fsync, os.replace

    def synced(handle):
        calls.append(
            "directory" if os.path.isdir(f"/proc/self/fd/{handle}") else "file"
        )
        fsync(handle)

    def replaced(*paths):
        calls.append("rename")
        replace(*paths)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    atomic_write(tmp_path / "a", "x")
    assert calls == ["file", "rename", "directory"]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff\xfe", b"3", b'{"a": 1}}', b"\0" * 100]
)
def test_damaged_json_is_one_sentence(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(Damaged, match=r"a\.json") as error:
        read_json(path)
    assert "\n" not in str(error.value)


def test_json_of_arrays(tmp_path):
    numpy = pytest.importorskip("numpy")
    write_json(tmp_path / "a", {"x": numpy.arange(3), "y": numpy.float32(0.5)})
    assert read_json(tmp_path / "a") == {"x": [0, 1, 2], "y": 0.5}


def test_journal_appends_whole_lines(tmp_path):
    path = tmp_path / "m.jsonl"
    with Journal(path) as journal:
        journal.append({"step": 1})
        journal.append({"step": 2, "loss": float("nan")})
        journal.commit()
    with Journal(path) as journal:
        journal.append({"step": 3})
    assert [record["step"] for record in read_journal(path)] == [1, 2, 3]
    assert path.read_bytes().endswith(b"\n")


@pytest.mark.parametrize("seed", range(20))
def test_a_cut_at_any_byte_costs_only_the_cut_record(tmp_path, seed):
    draw = random.Random(seed)
    path = tmp_path / "m.jsonl"
    lines = [json.dumps({"step": i, "text": "é" * i}) + "\n" for i in range(6)]
    data = "".join(lines).encode()
    cut = draw.randrange(len(data))
    whole = data[:cut].count(b"\n")
    path.write_bytes(data[:cut] + b"\0" * draw.choice((0, 0, 40)))
    assert len(read_journal(path)) == whole
    with Journal(path) as journal:
        journal.append({"step": "next"})
    steps = [record["step"] for record in read_journal(path)]
    assert steps == [*range(whole), "next"]


def test_zeros_of_a_power_cut_inside_the_tail_are_cut_off(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_bytes(b'{"step": 0}\n{"st' + b"\0" * 512 + b'"x": 1}\n')
    assert read_journal(path) == [{"step": 0}]


def test_damage_of_an_acknowledged_record_is_told_and_never_healed(tmp_path):
    path = tmp_path / "m.jsonl"
    path.write_bytes(b'{"step": 0}\n{"step"; 1}\n{"step": 2}\n')
    for use in (read_journal, Journal):
        with pytest.raises(Damaged, match="line 2"):
            use(path)
    path.write_bytes(b'{"step": 0}\n{"step"; 1}\n')
    with pytest.raises(Damaged, match="line 2"):
        Journal(path)


def test_journal_keeps_what_the_resumed_run_keeps(tmp_path):
    path = tmp_path / "m.jsonl"
    with Journal(path) as journal:
        for step in range(5):
            journal.append({"step": step})
    with Journal(path, lambda record: record["step"] <= 2) as journal:
        journal.append({"step": 3})
    assert [record["step"] for record in read_journal(path)] == [0, 1, 2, 3]


def test_a_short_write_leaves_no_half_record(tmp_path, monkeypatch):
    path = tmp_path / "m.jsonl"
    journal = Journal(path)
    journal.append({"step": 0})
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[:5]))
    with pytest.raises(DiskError):
        journal.append({"step": 1})
    monkeypatch.undo()
    journal.append({"step": 2})
    journal.close()
    assert [record["step"] for record in read_journal(path)] == [0, 2]


def test_reading_a_log_that_is_not_there(tmp_path):
    assert read_journal(tmp_path / "none") == []
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("name", ["a", "A-1_b.c=d,e+f", "0" * 120])
def test_good_names(name):
    assert check_name(name, "The name") == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a..b", "a/b", "../a", "-a", "a b", "a\n", "é", "a\0", "0" * 121],
)
def test_bad_names(name):
    with pytest.raises(BadInput) as error:
        check_name(name, "The name")
    assert "\n" not in str(error.value)


def test_sync_of_a_tree_reaches_every_file_and_folder(tmp_path, monkeypatch):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "f").write_text("x")
    seen = []
    monkeypatch.setattr(durable, "fsync", lambda path: seen.append(path))
    durable.fsync_tree(tmp_path)
    wanted = {tmp_path, tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "f"}
    assert set(seen) == wanted
    assert seen.index(tmp_path / "a" / "f") < seen.index(tmp_path / "a")


def test_what_a_killed_writer_left_is_deleted_and_nothing_else(tmp_path):
    """By whoever holds the directory next; a file of a living process stays."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    dead = tmp_path / f".result.json.{gone.pid}.tmp"
    living = tmp_path / f".result.json.{os.getppid()}.tmp"
    others = [tmp_path / name for name in (".hidden.tmp", "a.json", ".1.tmp")]
    folder = tmp_path / f".00000002.{gone.pid}.tmp"
    folder.mkdir()
    for path in (dead, living, *others):
        path.write_text("half")
    with Lock(tmp_path):
        assert not dead.exists()
        assert all(path.exists() for path in (living, folder, *others))
    dead.write_text("half")
    clear(tmp_path / "none")
    clear(tmp_path)
    assert not dead.exists() and living.exists()
