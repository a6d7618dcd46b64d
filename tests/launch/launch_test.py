"""Sweeps: every cell is done once; failures are recorded and the rest go on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from attn_research.host import exits, layout, memory
from attn_research.host.durable import Busy, Damaged, DiskError
from attn_research.host.lock import Lock
from attn_research.host.memory import MemoryRefused
from attn_research.launch import cell, local
from attn_research.launch.ending import judge
from attn_research.launch.logs import Tail
from attn_research.studies import store
from attn_research.studies.study import cells
from tests.faults.sweeper import command, study


@pytest.fixture
def three(tmp_path):
    return store.open_study(tmp_path / "study", study(3), cells(study(3)))


def states(directory):
    return [row.state for row in store.status(directory)]


def run(opened, **options):
    told = []
    options = {"command": command(5, 0.0), "report": told.append, **options}
    return local.run(opened.directory, opened.ids, **options), told


def test_every_cell_is_run_once(three, tmp_path, monkeypatch):
    log = tmp_path / "starts"
    monkeypatch.setenv("STARTS", str(log))
    assert run(three, workers=2)[0] == 0
    assert run(three, workers=2) == (0, [])  # there is nothing left to do
    assert states(three.directory) == ["done"] * 3
    started = [line.split()[0] for line in log.read_text().splitlines()]
    assert sorted(started) == sorted(three.ids)


def test_cores_are_divided(three, tmp_path, monkeypatch):
    mine = sorted(os.sched_getaffinity(0))
    if len(mine) < 2:
        pytest.skip("this machine has one core")
    log = tmp_path / "starts"
    monkeypatch.setenv("STARTS", str(log))
    assert run(three, workers=2)[0] == 0
    shares = {line.split(" ", 1)[1] for line in log.read_text().splitlines()}
    assert len(shares) == 2 and str(mine) not in shares
    assert sorted(os.sched_getaffinity(0)) == mine


FAILING = """
import os, sys
from pathlib import Path
from attn_research.launch.cell import guard
from attn_research.host.memory import MemoryRefused
from attn_research.host.durable import DiskError
from attn_research.options import BadInput
kind = sys.argv[2]
def run():
    if kind.startswith("-"):
        os.kill(os.getpid(), int(kind[1:]))
    if kind.isdigit():
        print("last words", file=sys.stderr)
        sys.exit(int(kind))
    raise {
        "bad_input": BadInput("width is 0"),
        "memory_refused": MemoryRefused("needs 9 GB"),
        "oom": RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes"),
        "disk": DiskError(28, "Could not write x (No space left on device)"),
        "internal": ZeroDivisionError("division by zero"),
    }[kind]
sys.exit(guard(Path(sys.argv[1]), run))
"""


@pytest.mark.parametrize(
    "how, kind, exit",
    [
        ("bad_input", "bad_input", 65),
        ("memory_refused", "memory_refused", 65),
        ("oom", "oom", 70),
        ("disk", "disk", 74),
        ("internal", "internal", 70),
        ("-9", "killed", 70),
        ("-11", "internal", 70),
        ("1", "internal", 1),
        ("0", "internal", 70),
    ],
)
def test_a_failure_is_recorded_by_its_kind_and_the_rest_go_on(three, how, kind, exit):
    good, bad = command(3, 0.0), store.place(three.directory, three.ids[1])

    def mixed(folder):
        if folder == bad:
            return [sys.executable, "-c", FAILING, str(folder), how]
        return good(folder)

    code, told = run(three, command=mixed, workers=2)
    assert code == (74 if how == "disk" else 1)
    assert states(three.directory) == ["done", "failed", "done"]
    error = layout.read_error(bad)
    assert error is not None and (error["kind"], error["exit"]) == (kind, exit)
    (sentence,) = [line for line in told if "failed" in line]
    assert kind in sentence and "\n" not in sentence
    if how == "1":
        assert "last words" in sentence
    assert sum("tried again" in line for line in told) == 2 * (how == "-9")
    before = (bad / layout.ERROR).read_bytes()
    code, told = run(three)  # the same command, the cause removed
    if kind == "oom":  # not retried where it did not fit
        assert code == 1 and "not tried again here" in told[0]
        assert (bad / layout.ERROR).read_bytes() == before
    else:
        assert code == 0 and states(three.directory) == ["done"] * 3
        assert not (bad / layout.ERROR).exists()


def test_a_killed_cell_is_tried_again_unless_memory_ran_out(three, monkeypatch):
    """kill -9 by hand goes on; the kernel's own is known by its count."""
    bad, good = store.place(three.directory, three.ids[0]), command(3, 0.0)
    tries: list[int] = []

    def once(folder):
        if folder == bad and not tries:
            tries.append(1)
            return [sys.executable, "-c", FAILING, str(folder), "-9"]
        return good(folder)

    code, told = run(three, command=once)
    assert code == 0 and states(three.directory) == ["done"] * 3
    assert sum("tried again" in line for line in told) == 1
    assert judge(-9, bad, oom=True).kind == "oom_killed"
    assert judge(-9, bad, oom=True).outcome == "failed"


def test_kills_for_want_of_memory_are_counted_by_the_kernel(tmp_path):
    """By the control group of version 2, of version 1, or by the machine."""
    own, whole = tmp_path / "cgroup", tmp_path / "vmstat"
    assert memory.oom_kills(tmp_path, own, whole) is None
    whole.write_text("nr_free_pages 7\noom_kill 5\n")
    assert memory.oom_kills(tmp_path, own, whole) == 5
    own.write_text("4:memory:/a\n")
    (tmp_path / "memory" / "a").mkdir(parents=True)
    (tmp_path / "memory" / "a" / "memory.oom_control").write_text("oom_kill 2\n")
    assert memory.oom_kills(tmp_path, own, whole) == 2
    own.write_text("0::/b\n")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "memory.events").write_text("low 0\noom 3\noom_kill 1\n")
    assert memory.oom_kills(tmp_path, own, whole) == 1


def test_a_cell_that_cannot_be_started_is_a_failure(three):
    code, told = run(three, command=lambda folder: ["/nonexistent/python"])
    assert code == 1 and len(told) == 3
    assert states(three.directory) == ["failed"] * 3


def test_a_cell_of_another_process_is_left_to_it(three):
    with Lock(store.place(three.directory, three.ids[0]) / layout.CHECKPOINTS):
        code, told = run(three, grace=0.2)
        assert code == 75
        assert any(f"process {os.getpid()}" in line for line in told)
        assert states(three.directory) == ["running", "done", "done"]
    assert run(three)[0] == 0


def test_a_damaged_cell_counts_as_failed(three):
    path = store.place(three.directory, three.ids[2]) / layout.CONFIG
    path.write_text("{")
    code, told = run(three)
    assert code == 1 and str(path) in told[-1]
    assert states(three.directory) == ["done", "done", "damaged"]


def test_what_is_no_disease_of_the_cell_is_not_written_there(tmp_path):
    def busy():
        raise Busy("held")

    assert cell.guard(tmp_path, busy) == 75
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "error, wanted",
    [
        (MemoryRefused("x"), ("memory_refused", 65)),
        (Damaged("x"), ("bad_input", 65)),
        (MemoryError(), ("oom", 70)),
        (OSError(28, "full"), ("disk", 74)),
        (DiskError("full"), ("disk", 74)),
        (FileNotFoundError(2, "none"), ("disk", 74)),
        (KeyError("x"), ("internal", 70)),
    ],
)
def test_kinds_of_failure(error, wanted):
    assert exits.classify(error) == wanted
    assert "\n" not in exits.sentence(error)


def test_a_cell_dies_with_its_launcher(three):
    """Without its launcher a cell checkpoints and lets go of its directory."""
    folder = store.place(three.directory, three.ids[0])
    launcher = f"""
import subprocess, sys, time
from tests.faults.sweeper import command
from pathlib import Path
child = subprocess.Popen(command(10000, 0.01)(Path({str(folder)!r})))
while not Path({str(folder)!r}, "checkpoints", "state.json").exists():
    time.sleep(0.01)
print(child.pid, flush=True)
time.sleep(60)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", launcher], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
    with Lock(folder / layout.CHECKPOINTS, patience=10):
        deadline = time.monotonic() + 10
        while alive(pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not alive(pid)


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not asked for has no line."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except FileNotFoundError:
        return False


SPEAKING = "import sys; print('step 1'); print('Error: no', file=sys.stderr)"


@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_cell_says_is_heard_and_kept(three, workers):
    """The launcher says itself why a cell failed, with its name."""
    code, told = run(
        three, workers=workers, command=lambda _: [sys.executable, "-c", SPEAKING]
    )
    assert code == 1
    heard = [line for line in told if "step 1" in line]
    names = [f"[{number}/3] " if workers > 1 else "" for number in (1, 2, 3)]
    assert sorted(heard) == sorted(f"{name}step 1" for name in names)
    assert not [line for line in told if line.startswith("Error: ")]
    for id in three.ids:
        log = (store.place(three.directory, id) / layout.LOG).read_text()
        assert "step 1\n" in log and "Error: no\n" in log


@pytest.mark.parametrize("refused", [True, False])
def test_a_disk_that_takes_no_report_is_named_by_its_own_error(
    three, monkeypatch, refused
):
    """The cell could not say why; whoever tries next learns it from the system."""

    def write(*_, **__):
        raise OSError(122, "Disk quota exceeded", "/x/error.json")

    if refused:
        monkeypatch.setattr(layout, "write_error", write)
    code, told = run(
        three, command=lambda folder: [sys.executable, "-c", FAILING, str(folder), "74"]
    )
    assert code == 74 and len([line for line in told if "failed" in line]) == 3
    for line in (line for line in told if "failed" in line):
        assert ("disk: /x/error.json could not be" in line) == refused
        assert ("Disk quota exceeded" in line) == refused
        assert "disk: " in line and "last words" not in line


def test_a_tail_gives_whole_lines_once(tmp_path):
    path = tmp_path / "log.txt"
    path.write_text("of an earlier process\n")
    tail = Tail(path)
    assert tail.lines() == []
    with open(path, "a") as file:
        file.write("one\ntw")
        file.flush()
        assert tail.lines() == ["one"]
        file.write("o\nError: why\n")
    assert tail.lines() == ["two"] and tail.lines() == []
    path.unlink()
    assert tail.lines() == []
