"""The script that prepares data sets: what it says, does again, and refuses."""

import re

import pytest

from attn_research.host.exits import BAD_INPUT, DISK, DONE
from attn_research.host.lock import Lock
from attn_research.tasks.data import builder, packed
from attn_research.tasks.data.catalogue import DATA_SETS
from tests.command import command
from tests.tasks.data import made

NAMES = ("gap", "listops_d8")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Calls the script on small raw files of two data sets."""
    for name in NAMES:
        monkeypatch.setitem(DATA_SETS, name, made.data_set(name, tmp_path / "raw"))
    places = (f"--raw_dir={tmp_path / 'raw'}", f"--data_dir={tmp_path / 'sets'}")
    return lambda *arguments: command("prepare_data", *arguments, *places)


def refused(ended, words, code=BAD_INPUT):
    assert ended.code == code, ended
    assert words in ended.err, ended.err
    assert ended.err.startswith("Error: ") and ended.err.count("\n") == 1


def test_a_set_is_prepared_once_and_then_verified(run, tmp_path):
    first = run(*NAMES)
    assert first.code == DONE and first.err == ""
    told = first.out.splitlines()
    assert told[0].startswith(f"gap: prepared in {tmp_path / 'sets'}: 9 train, 1 valid")
    assert len(told) == 2
    manifest = tmp_path / "sets" / "packed" / "gap" / "1.0.0" / "manifest.json"
    written = manifest.stat().st_mtime_ns
    again = run(*NAMES)
    assert again.code == DONE
    assert again.out.count(": already prepared, every byte verified in") == 2
    assert manifest.stat().st_mtime_ns == written


def test_what_is_damaged_or_of_other_files_is_prepared_again(
    run, tmp_path, monkeypatch
):
    run("gap")
    path = tmp_path / "sets" / "packed" / "gap" / "1.0.0" / "train" / "text.npy"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"?")
    assert "gap: prepared in" in run("gap").out
    assert path.read_bytes() == whole
    raw = tmp_path / "raw" / "gap" / "gap-development.tsv"
    raw.write_bytes(raw.read_bytes().replace(b"left.", b"went."))
    assert "already" in run("gap").out  # the files are those of the catalogue still
    data = made.known(DATA_SETS["gap"], raw.parent)
    monkeypatch.setitem(DATA_SETS, "gap", data)
    assert "gap: prepared in" in run("gap").out
    assert b"went." in path.read_bytes()


def test_what_a_killed_writer_left_is_cleaned_away(run, tmp_path):
    home = tmp_path / "sets" / "gap"
    for left in ("incomplete.ABC_1.0.0", "1.0.0"):
        (home / left).mkdir(parents=True)
        (home / left / "half").touch()
    temporary = tmp_path / "sets" / "packed" / "gap" / ".1.0.0.99.tmp"
    temporary.mkdir(parents=True)
    assert run("gap").code == DONE
    assert [path.name for path in home.iterdir()] == ["1.0.0"]
    assert not (home / "1.0.0" / "half").exists() and not temporary.exists()


def test_bytes_that_are_no_utf8_are_told(run, tmp_path, monkeypatch):
    path = tmp_path / "raw" / "gap" / "gap-validation.tsv"
    path.write_bytes(path.read_bytes().replace("ë".encode(), b"\xeb"))
    monkeypatch.setitem(DATA_SETS, "gap", made.known(DATA_SETS["gap"], path.parent))
    told = "; 3 bytes of text were not UTF-8 and became '?'"
    assert told in run("gap").out and told in run("gap").out
    assert packed.manifest("gap", tmp_path / "sets")["replaced"] == {"text": 3}


def test_names_that_are_none(run):
    refused(run("gpa"), "gpa is neither in --list nor prepared by TFDS in")
    refused(run("gap", "gpa"), "did you mean 'gap'?")
    refused(run("imdb_reviews"), "nor prepared by TFDS in")
    refused(run("../gap"), "The name of a data set is '..'")
    refused(run(), "No data set is named")


def test_raw_files_that_are_not_there(run, tmp_path):
    ended = command("prepare_data", "gap", f"--data_dir={tmp_path / 'sets'}")
    refused(ended, "--raw_dir is missing; it must be the directory that holds gap")
    (tmp_path / "raw" / "listops_spinn" / "test_d8.tsv.gz").unlink()
    refused(run("listops_d8"), "test_d8.tsv (or test_d8.tsv.gz) is missing; listops_d8")


def test_one_bad_set_does_not_stop_the_others(run, tmp_path):
    path = tmp_path / "raw" / "gap" / "gap-development.tsv"
    path.write_bytes(path.read_bytes()[:-1])
    ended = run(*NAMES)
    refused(ended, "gap-development.tsv has 1,045 bytes; it must be 1,046")
    assert "listops_d8: prepared in" in ended.out


def test_another_writer_is_refused(run, tmp_path):
    with Lock(tmp_path / "sets" / "packed" / "gap"):
        refused(run("gap"), "is being written by process")


def test_a_full_disk_is_told_as_one(run, tmp_path, monkeypatch):
    from tensorflow_datasets.core import file_adapters

    def full(cls, path, iterator):
        list(iterator)
        raise RuntimeError(f"write() failed: No space left on device; writing {path}")

    with monkeypatch.context() as patched:
        writer = file_adapters.ArrayRecordFileAdapter
        patched.setattr(writer, "write_examples", classmethod(full))
        words = f"Could not write {tmp_path / 'sets' / 'gap'} (No space left on device)"
        refused(run("gap"), words, DISK)
    assert not list((tmp_path / "sets" / "gap").iterdir())
    assert run("gap").code == DONE


def test_a_set_that_is_not_what_was_read_is_not_kept(run, tmp_path, monkeypatch):
    read = builder.read

    def mixed(prepared):
        found = read(prepared)
        return found._replace(splits={**found.splits, "train": found.splits["test"]})

    monkeypatch.setattr(builder, "read", mixed)
    refused(run("gap"), "The text of gap (train)")
    assert packed.location("gap", tmp_path / "sets") is None


def test_the_table_shows_every_set_and_what_is_prepared(run, tmp_path):
    run("gap")
    listing = ("prepare_data", "--list", f"--data_dir={tmp_path / 'sets'}")
    ended = command(*listing)
    rows = {line.split()[0]: line for line in ended.out.splitlines()}
    for name, data in DATA_SETS.items():
        assert data.task in rows[name] and data.licence in rows[name]
        assert data.source in rows[name] and f"{data.examples['test']:,}" in rows[name]
        assert bool(re.search(r" MB +- ", rows[name])) == (name != "gap")
    path = tmp_path / "sets" / "packed" / "gap" / "1.0.0" / "train" / "text.npy"
    path.unlink()
    assert "damaged" in command(*listing).out
    assert str(tmp_path / "sets") in ended.out
