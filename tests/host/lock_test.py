"""One writer per directory: refused, handed over, taken over from the dead."""

import json
import os
import subprocess
import sys
import time

import pytest

from attn_research.host import lock
from attn_research.host.durable import Busy
from attn_research.host.lock import Lock, owner

HOLD = """
import sys, time
from attn_research.host.lock import Lock
with Lock(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock of `tmp_path`."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_the_second_is_refused_and_the_first_goes_on(tmp_path):
    with Lock(tmp_path):
        with pytest.raises(Busy, match=f"process {os.getpid()} on"):
            with Lock(tmp_path, patience=0.1):
                pass
        assert owner(tmp_path)["pid"] == os.getpid()  # type: ignore
    assert owner(tmp_path) is None
    with Lock(tmp_path):
        pass


def test_another_process_is_refused_until_the_first_is_killed(tmp_path, holder):
    with pytest.raises(Busy, match=str(holder.pid)):
        with Lock(tmp_path, patience=0.1):
            pass
    assert owner(tmp_path)["pid"] == holder.pid  # type: ignore
    holder.kill()
    holder.wait()
    assert (tmp_path / ".owner.json").exists()  # it had no time to tidy up
    assert owner(tmp_path) is None
    with Lock(tmp_path):
        pass


def test_looking_changes_nothing_and_needs_nothing(tmp_path):
    assert owner(tmp_path) is None
    assert owner(tmp_path / "none") is None
    assert os.listdir(tmp_path) == []


def test_a_holder_on_another_machine_counts_while_it_gives_signs_of_life(tmp_path):
    path = tmp_path / ".owner.json"
    (tmp_path / ".lock").touch()
    path.write_text(json.dumps({"host": "far", "boot": "other", "pid": 7}))
    assert owner(tmp_path)["host"] == "far"  # type: ignore
    with pytest.raises(Busy, match="process 7 on far"):
        with Lock(tmp_path):
            pass
    assert json.loads(path.read_text())["host"] == "far"
    for away in (-2 * lock.SILENCE, 86_400.0):  # a date ahead is no sign of life
        silent = time.time() + away
        os.utime(path, (silent, silent))
        assert owner(tmp_path) is None
    with Lock(tmp_path):
        assert json.loads(path.read_text())["pid"] == os.getpid()


def test_a_holder_gives_signs_of_life(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "HEARTBEAT", 0.05)
    with Lock(tmp_path):
        path = tmp_path / ".owner.json"
        os.utime(path, (1, 1))
        deadline = time.monotonic() + 10
        while path.stat().st_mtime < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert path.stat().st_mtime > 2


def test_a_damaged_owner_file_does_not_hold(tmp_path):
    (tmp_path / ".lock").touch()
    (tmp_path / ".owner.json").write_bytes(b"\0\0")
    with Lock(tmp_path):
        pass
