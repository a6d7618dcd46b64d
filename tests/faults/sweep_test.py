"""Sweeps under fire: killed, asked to stop, started twice; the results are the same."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from attn_research.host import layout
from attn_research.host.durable import Busy
from attn_research.host.journal import read_journal
from attn_research.host.lock import Lock
from attn_research.studies import store
from tests.faults.cell import result
from tests.faults.trial import ROOT, drive

# Of a test run in the background the shell has SIGINT ignored, and so it stays.
SIGNALS = [
    number
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT)
    if signal.getsignal(number) is not signal.SIG_IGN
]


def start(directory, **options):
    """A sweep of cells that count, in a process of its own."""
    given = {"count": 8, "steps": 30, "pause": 0.01, "workers": 2, "grace": 20}
    text = json.dumps({"directory": str(directory), **given, **options})
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.sweeper", text],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def wait_until_running(directory, process) -> None:
    """Returns when a cell of this sweep has saved something new."""
    began = time.time()
    while process.poll() is None:
        saved = directory.glob("cells/*/checkpoints/state.json")
        if any(path.stat().st_mtime > began for path in saved):
            return
        time.sleep(0.01)


def assert_as_if_uninterrupted(directory, steps: int) -> None:
    """Every cell is done once, with each of its steps counted and logged once."""
    state = {"step": 0, "sum": 1}
    sums = {}
    while state["step"] < steps:
        step = state["step"] + 1
        state = {"step": step, "sum": state["sum"] * 31 % 1000003 + step}
        sums[step] = state["sum"]
    for cell in store.read_study(directory)["cells"]:
        folder = store.place(directory, cell["id"])
        assert layout.read_result(folder) == result(cell["id"], state)
        records = read_journal(folder / layout.METRICS)
        logged = [record["step"] for record in records]
        assert len(set(logged)) == len(logged) and logged == sorted(logged)
        assert set(range(3, steps + 1, 3)) <= set(logged)
        assert all(record["sum"] == sums[record["step"]] for record in records)
    rows = store.collect(directory)
    assert len({row["cell"] for row in rows}) == len(rows) == len(
        store.read_study(directory)["cells"]
    )  # fmt: skip


@pytest.mark.parametrize(
    "cells, kills", [(8, 5), pytest.param(200, 20, marks=pytest.mark.faults)]
)
def test_a_launcher_killed_again_and_again_ends_as_if_it_never_was(
    tmp_path, cells, kills
):
    draw, directory, landed = random.Random(7), tmp_path / "study", 0
    options = {"count": cells, "steps": 30}
    for _ in range(kills):
        with start(directory, **options) as process:
            wait_until_running(directory, process)
            time.sleep(draw.uniform(0, 0.5 if cells < 100 else 5.0))
            process.kill()
            landed += process.wait() == -9
    assert landed >= kills - 1
    with start(directory, **options) as process:
        assert process.wait(timeout=600) == 0
    assert_as_if_uninterrupted(directory, 30)


@pytest.mark.parametrize("rounds", [5, pytest.param(100, marks=pytest.mark.faults)])
def test_a_request_to_stop_is_handed_on_and_the_same_command_goes_on(tmp_path, rounds):
    draw, directory = random.Random(8), tmp_path / "study"
    options = {"count": 3, "steps": 60 * rounds, "pause": 0.005}
    for number in range(rounds):
        with start(directory, **options) as process:
            wait_until_running(directory, process)
            time.sleep(draw.uniform(0, 0.2))
            began = time.monotonic()
            process.send_signal(SIGNALS[number % len(SIGNALS)])
            assert process.wait(timeout=60) == 75
            assert time.monotonic() - began < 15
        states = {row.state for row in store.status(directory)}
        assert states <= {"stopped", "waiting", "done"}, states
    with start(directory, **options) as process:
        assert process.wait(timeout=600) == 0
    assert_as_if_uninterrupted(directory, 60 * rounds)


def test_a_cell_that_does_not_stop_is_killed_after_the_grace(tmp_path):
    directory = tmp_path / "study"
    with start(directory, count=1, steps=10, pause=30, grace=0.5) as process:
        while not list(directory.glob("cells/*/checkpoints/.owner.json")):
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 75
    (cell,) = directory.glob("cells/*")
    with Lock(cell / layout.CHECKPOINTS):
        pass
    assert not (cell / layout.ERROR).exists()


def test_two_sweeps_of_one_study_share_its_cells(tmp_path):
    directory = tmp_path / "study"
    with start(directory) as one, start(directory) as two:
        codes = {one.wait(timeout=120), two.wait(timeout=120)}
    assert codes <= {0, 75} and 0 in codes
    assert_as_if_uninterrupted(directory, 30)


RACER = """
import sys, time
from attn_research.host.durable import Busy
from attn_research.host.lock import Lock
try:
    with Lock(sys.argv[1], patience=0.0):
        print("won", flush=True)
        sys.stdin.read()
except Busy as error:
    print(error, flush=True)
"""


@pytest.mark.parametrize("rounds", [5, pytest.param(100, marks=pytest.mark.faults)])
def test_of_several_writers_at_once_one_wins(tmp_path, rounds):
    for number in range(rounds):
        command = [sys.executable, "-c", RACER, str(tmp_path / str(number))]
        racers = [
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for _ in range(3)
        ]
        said = [racer.stdout.readline().strip() for racer in racers if racer.stdout]
        for racer in racers:
            racer.communicate("")
        assert said.count("won") == 1, said
        assert sum("is being written by" in line for line in said) == 2
        with Lock(tmp_path / str(number)):
            with pytest.raises(Busy, match=str(os.getpid())):
                with Lock(tmp_path / str(number), patience=0.0):
                    pass


@pytest.mark.parametrize("seconds", [5, pytest.param(300, marks=pytest.mark.faults)])
def test_records_survive_writers_that_are_killed(tmp_path, seconds):
    found = drive(
        "logs",
        timeout=60 + 2 * seconds,
        directory=str(tmp_path),
        seconds=seconds,
        seed=9,
    )
    assert found["problems"] == []
    # A busy machine takes a second and more to start a writer.
    assert found["kills"] > seconds // 5
    assert found["records"] > 10 * found["kills"]
