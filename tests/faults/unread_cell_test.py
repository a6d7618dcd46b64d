"""A file of one cell that the disk does not read is named, and the rest is shown."""

import builtins
import errno
import os
import re
from pathlib import Path

import pytest

import attn_research as ar
from attn_research.host import layout
from attn_research.host.disk import refusal
from attn_research.host.exits import DISK, DONE, FAILED
from attn_research.host.journal import Journal
from attn_research.studies import store
from attn_research.studies.study import cells
from tests import planted
from tests.command import command

REASON = os.strerror(errno.EIO)


@pytest.fixture
def study(tmp_path):
    described = planted.study(patterns=("dense", "conv", "lstm"), lengths=(32,))
    planted.written(tmp_path / "study", described)
    return tmp_path / "study", [cell.id for cell in cells(described)]


@pytest.fixture
def refuse(monkeypatch):
    """Lets every read below a path fail, as a broken sector does; writes pass."""

    def begin(broken: Path, number: int = errno.EIO) -> None:
        def failing(call):
            def read(path, *arguments, **named):
                mode = str(named.get("mode", arguments[0] if arguments else "r"))
                writes = call is open_file and set(mode) & set("wax+")
                if str(path).startswith(str(broken)) and not writes:
                    raise OSError(number, os.strerror(number), str(path))
                return call(path, *arguments, **named)

            return read

        open_file, read_bytes = builtins.open, Path.read_bytes
        monkeypatch.setattr(builtins, "open", failing(open_file))
        monkeypatch.setattr(Path, "read_bytes", failing(read_bytes))

    return begin


@pytest.mark.parametrize("file", [layout.CONFIG, layout.RESULT])
def test_a_cell_that_is_not_read_is_shown_with_the_rest(file, study, refuse):
    directory, (broken, *others) = study
    whole = {state.id: state for state in store.status(directory)}
    kept = [row for row in store.rows(directory) if row["cell"] != broken]
    path = store.place(directory, broken) / file
    refuse(path)
    words = f"{path} cannot be read ({REASON})"
    states = {state.id: state for state in store.status(directory)}
    assert (states[broken].state, states[broken].message) == ("unreadable", words)
    assert store.state(directory, broken) == ("unreadable", words)
    for other in others:
        assert states[other] == whole[other]
    said, unread = [], []
    assert store.rows(directory, said.append, unread=unread.append) == kept
    assert (said, unread) == ([words], [broken])
    described = store.read_study(directory)
    assert store.missing(described, list(states.values())) == [broken]

    ended = command("report", str(directory))
    assert ended.code == FAILED and ended.err == "", ended.err
    page = (directory / "report" / "index.html").read_text()
    assert words in page and "unreadable" in page
    assert all(other in page for other in others)
    ended = command("sweep", f"--out={directory}", "--status")
    assert ended.code == FAILED and f"{broken} unreadable: {words}" in ended.out
    assert "2 done, 1 unreadable" in ended.out
    ended = command("sweep", f"--out={directory}", "--collect")
    assert ended.code == FAILED and words in ended.out
    assert "8 members of finished cells" in ended.out


def test_a_sweep_runs_the_rest_and_says_that_the_disk_failed_one(study, refuse):
    directory, (broken, *_) = study
    refuse(store.place(directory, broken) / layout.RESULT)
    ended = command("sweep", f"--out={directory}")
    assert ended.code == DISK and f"{broken} failed: " in ended.out
    assert REASON in ended.out and "8 members of finished cells" in ended.out


def test_a_log_that_is_not_read_leaves_the_cell_finished(study, refuse):
    directory, (broken, *_) = study
    log = store.place(directory, broken) / layout.METRICS
    log.touch()
    refuse(log)
    said, unread = [], []
    rows = store.rows(directory, said.append, unread=unread.append)
    assert {row["cell"] for row in rows} == {*store.read_study(directory)["asked"]}
    assert (said, unread) == ([f"{log} cannot be read ({REASON})"], [broken])
    assert command("report", str(directory)).code == FAILED


def test_a_read_that_all_depends_on_still_ends_the_command(study, refuse):
    directory, _ = study
    refuse(directory / layout.STUDY)
    ended = command("report", str(directory))
    assert ended.code == DISK and ended.err.count("\n") == 1 and REASON in ended.err


def test_an_error_that_says_nothing_of_the_cell_is_not_taken_for_one(study, refuse):
    directory, (broken, *_) = study
    refuse(store.place(directory, broken) / layout.METRICS, errno.EMFILE)
    assert refusal(OSError(errno.EMFILE, "too many")) is None
    assert store.state(directory, broken)[0] == "done"


def test_a_report_that_cannot_be_written_is_of_the_disk(study, monkeypatch):
    directory, _ = study
    assert command("report", str(directory)).code == DONE
    replace = os.replace

    def full(source, *arguments, **named):
        if "results.csv" in str(source):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(source))
        return replace(source, *arguments, **named)

    monkeypatch.setattr(os, "replace", full)
    ended = command("report", str(directory))
    assert ended.code == DISK and os.strerror(errno.ENOSPC) in ended.err


@pytest.mark.parametrize("file", [layout.CONFIG, layout.RESULT])
def test_python_leaves_out_a_cell_that_is_not_read(file, study, refuse):
    directory, (broken, *others) = study
    path = store.place(directory, broken) / file
    refuse(path)
    words = re.escape(f"{path} cannot be read ({REASON}); it is left out")
    with pytest.warns(UserWarning, match=words):
        rows = ar.results(directory)
    assert {row["cell"] for row in rows} == set(others)
    if file == layout.CONFIG:
        with pytest.raises(ar.BadInput, match="Unknown mixer of"):
            ar.load(directory, mixer="dense")


def test_python_leaves_out_the_curves_that_are_not_read(study, refuse):
    directory, (broken, *others) = study
    for id in (broken, *others):
        with Journal(store.place(directory, id) / layout.METRICS) as journal:
            journal.append({"step": 2, "member": 0, "loss": 1.0})
    refuse(store.place(directory, broken) / layout.METRICS)
    with pytest.warns(UserWarning, match="metrics.jsonl cannot be read.*left out"):
        rows = ar.curves(directory)
    assert {row["cell"] for row in rows} == set(others)


def test_python_says_so_if_the_disk_reads_no_cell(study, refuse):
    directory, _ = study
    refuse(directory / layout.CELLS)
    with pytest.raises(OSError, match="cannot be read"):
        ar.load(directory, mixer="dense")
