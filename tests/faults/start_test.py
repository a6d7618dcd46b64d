"""Killed or stopped at any operation from its first line on, a run goes on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from attn_research.host import layout
from attn_research.host.exits import DONE, REQUEUE
from attn_research.host.interrupt import ASKING
from tests.command import ROOT

TRAIN = str(ROOT / "scripts" / "train.py")
SWEEP = str(ROOT / "scripts" / "sweep.py")
SMALL = (
    "--task=recall(length=8,pairs=1,vocabulary=16)",
    "--model.pattern=conv",
    "--model.layers=1",
    "--model.width=4",
    "--train.batch=2",
    "--train.steps=4",
    "--train.eval_every=2",
    "--train.checkpoint_every=2",
    "--train.eval_batches=1",
    "--train.test_batches=1",
)
# Kills its process before the operation of this number that a file system sees.
KILLER = """
import os, runpy, signal, sys

number, script, *arguments = sys.argv[1:]
left = [int(number)]


def counted(operation):
    def call(*given, **named):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return operation(*given, **named)

    return call


for name in ("mkdir", "rename", "replace", "unlink", "fsync", "fdatasync"):
    setattr(os, name, counted(getattr(os, name)))
sys.argv = [script, *arguments]
runpy.run_path(script, run_name="__main__")
"""


def killed(number: int, *arguments: str) -> int:
    """The exit code of a run that is killed before its operation `number`."""
    command = [sys.executable, "-c", KILLER, str(number), TRAIN, *arguments]
    return subprocess.run(command, capture_output=True).returncode


def started(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, TRAIN, *arguments]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A run that was left alone."""
    directory = tmp_path_factory.mktemp("whole") / "run"
    done = started(*SMALL, f"--out={directory}")
    assert done.returncode == DONE, done.stderr
    return directory


@pytest.mark.parametrize(
    "number",
    [*range(1, 14, 3), 20, *(pytest.param(n, marks=pytest.mark.slow) for n in
     [*(n for n in range(2, 20) if n % 3 != 1), *range(22, 120, 2)])],
)  # fmt: skip
def test_the_same_command_goes_on_wherever_it_was_killed(number, tmp_path, whole):
    directory = tmp_path / "run"
    code = killed(number, *SMALL, f"--out={directory}")
    assert code in (-signal.SIGKILL, DONE)
    assert code == -signal.SIGKILL or number > 20
    again = started(*SMALL, f"--out={directory}")
    assert again.returncode == DONE, again.stderr
    log = (directory / layout.METRICS).read_bytes()
    assert log == (whole / layout.METRICS).read_bytes()
    assert not [*directory.rglob(".*.tmp")], "what the killed one left is still there"


def test_a_directory_that_holds_something_else_is_refused(tmp_path):
    (tmp_path / "letter.txt").write_text("Dear reader")
    done = started(*SMALL, f"--out={tmp_path}")
    assert done.returncode == 65 and "holds no run" in done.stderr
    assert os.listdir(tmp_path) == ["letter.txt"]


def wait_until_caught(pid: int, number: int) -> None:
    """Returns when a process has a handler for a signal; a busy machine takes long."""
    for _ in range(3000):
        status = Path(f"/proc/{pid}/status").read_text()
        caught = int(status.partition("SigCgt:")[2].split()[0], 16)
        if caught >> (number - 1) & 1:
            return
        time.sleep(0.01)
    raise AssertionError(f"signal {number} was never caught")


def hearing(*command: str, ignored: Sequence[int] = ()) -> list[str]:
    """A command that ignores these of the signals, whatever a shell or nohup ignores.

    The new process sets them: a function between fork and exec must not run where JAX
    has threads.
    """
    chosen = {int(number): int(number in ignored) for number in ASKING}
    first = f"import os, signal, sys; chosen = {chosen}; "
    first += "[signal.signal(n, signal.Handlers(i)) for n, i in chosen.items()]; "
    first += "os.execv(sys.argv[1], sys.argv[1:])"
    return [sys.executable, "-c", first, *command]


def test_what_nohup_ignores_stays_ignored(tmp_path):
    """A terminal that is closed must not stop a sweep that was to outlive it."""
    with subprocess.Popen(
        hearing(
            *(sys.executable, TRAIN, *SMALL, f"--out={tmp_path / 'run'}"),
            ignored=[signal.SIGHUP],
        ),
        stdout=subprocess.DEVNULL,
    ) as process:
        wait_until_caught(process.pid, ASKING[-1])
        process.send_signal(signal.SIGHUP)
        assert process.wait(timeout=120) == DONE


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGUSR1, signal.SIGHUP])
@pytest.mark.parametrize("after", [0.0, 1.0])
def test_a_signal_soon_after_the_start_is_heard(number, after, tmp_path):
    """As soon as the kernel knows of the handler, and amid the imports."""
    given = [f"--out={tmp_path / 'study'}", "--experiment=recall_distance"]
    with subprocess.Popen(
        hearing(sys.executable, SWEEP, *given), stderr=subprocess.PIPE, text=True
    ) as process:
        wait_until_caught(process.pid, ASKING[-1])
        time.sleep(after)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == REQUEUE, said
    assert "Traceback" not in said


def test_control_c_checkpoints_once_and_a_second_one_ends(tmp_path):
    """Once: a checkpoint, 75, a sentence. Twice: at once."""
    long = [*SMALL, "--train.steps=1000000", "--train.eval_every=1000"]
    run = [sys.executable, "-u", TRAIN, *long, f"--out={tmp_path / 'run'}"]
    with subprocess.Popen(
        hearing(*run), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline()
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == REQUEUE, said
    assert "Stopped by SIGINT at step" in said and "the same command resumes" in said
    steps = [path.name for path in (tmp_path / "run" / "checkpoints").glob("0*")]
    assert steps and int(max(steps)) > 0


def test_a_run_goes_on_with_the_cores_that_it_began_with(tmp_path):
    """Stopped on two cores and started on one, it asks for no inexact resume."""
    cores = os.sched_getaffinity(0)
    if len(cores) < 2:
        pytest.skip("this machine has one core")
    kept = {k: v for k, v in os.environ.items() if k not in ("NPROC", "XLA_FLAGS")}
    given = [*SMALL, "--train.steps=3000", "--train.eval_every=100", "--seed=0,1"]
    run = [sys.executable, "-u", TRAIN, *given, f"--out={tmp_path / 'run'}"]
    with subprocess.Popen(run, stdout=subprocess.PIPE, env=kept, text=True) as process:
        assert process.stdout is not None and process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode == REQUEUE
    assert layout.began(tmp_path / "run")["NPROC"] == str(len(cores))
    one = f"import os; os.sched_setaffinity(0, {{{min(cores)}}}); "
    again = "import runpy, sys; sys.argv = sys.argv[1:]; "
    again += "runpy.run_path(sys.argv[0], run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", one + again, *run[2:]],
        env=kept,
        capture_output=True,
        text=True,
    )
    assert done.returncode == DONE, done.stdout + done.stderr
