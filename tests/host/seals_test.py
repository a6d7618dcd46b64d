"""A sealed file or log tells every change, and what has no seal is read as it is."""

import json

import pytest

from attn_research.host import seals
from attn_research.host.durable import Damaged, read_json, write_json
from attn_research.host.journal import Journal, read_journal

VALUE = {"config": {"cap": 0.0, "names": ["a", "ü"]}, "seed": [0, 1], "more": None}
OTHER = (0x01, 0x04, 0x20, 0xFF)  # flips of one bit or more


def changes(data: bytes):
    """Every byte changed, dropped and doubled."""
    for place in range(len(data)):
        for flip in OTHER:
            changed = bytes([data[place] ^ flip])
            yield data[:place] + changed + data[place + 1 :]
        yield data[:place] + data[place + 1 :]
        yield data[:place] + data[place : place + 1] + data[place:]


def test_every_change_of_a_file_is_found(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, VALUE)
    whole = path.read_bytes()
    assert json.loads(whole)["seal"] and read_json(path) == VALUE
    for changed in changes(whole):
        path.write_bytes(changed)
        with pytest.raises(Damaged, match=r"a\.json"):
            read_json(path)


def test_every_change_of_a_log_but_a_cut_tail_is_found(tmp_path):
    path = tmp_path / "a.jsonl"
    rows = [{"step": step, "loss": 0.5 / (step + 1)} for step in range(3)]
    with Journal(path) as journal:
        for row in rows:
            journal.append(row)
        end = journal.seal
    whole = path.read_bytes()
    assert read_journal(path, end) == rows
    for changed in changes(whole):
        path.write_bytes(changed)
        with pytest.raises(Damaged, match=r"a\.jsonl"):
            read_journal(path, end)
    lines = whole.splitlines(keepends=True)
    for left_out in range(3):
        path.write_bytes(b"".join(lines[:left_out] + lines[left_out + 1 :]))
        with pytest.raises(Damaged):
            read_journal(path, end)


def test_a_log_goes_on_with_the_seals_it_would_have_had(tmp_path):
    rows = [{"step": step} for step in range(5)]
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    with Journal(whole) as journal:
        for row in rows:
            journal.append(row)
    with Journal(resumed) as journal:
        for row in rows[:4]:
            journal.append(row)
    with Journal(resumed, lambda row: row["step"] <= 1) as journal:
        for row in rows[2:]:
            journal.append(row)
    assert resumed.read_bytes() == whole.read_bytes()


def test_what_older_versions_wrote_is_read_and_gone_on_with(tmp_path):
    path = tmp_path / "old.json"
    path.write_text(json.dumps(VALUE, indent=1) + "\n")
    assert read_json(path) == VALUE
    assert not seals.sealed(path.read_bytes())
    log = tmp_path / "old.jsonl"
    log.write_text('{"step": 1}\n{"step": 2}\n')
    with Journal(log) as journal:
        journal.append({"step": 3})
    assert [row["step"] for row in read_journal(log)] == [1, 2, 3]
    # A later line covers those that had no seal of their own.
    log.write_bytes(log.read_bytes().replace(b'"step": 1', b'"step": 7'))
    with pytest.raises(Damaged, match="line 3"):
        read_journal(log)
    # After a sealed line there is none without.
    with open(log, "a") as file:
        file.write('{"step": 4}\n')
    with pytest.raises(Damaged):
        read_journal(log)


def test_a_refused_append_leaves_the_chain_as_it_was(tmp_path, monkeypatch):
    import os

    with Journal(tmp_path / "log") as journal:
        journal.append({"step": 1})
        write = os.write
        monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[:3]))
        with pytest.raises(OSError, match="No space left"):
            journal.append({"step": 2})
        monkeypatch.undo()
        journal.append({"step": 2})
        end = journal.seal
    assert [row["step"] for row in read_journal(tmp_path / "log", end)] == [1, 2]
