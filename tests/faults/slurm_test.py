"""A sweep on a real SLURM of one node: signalled, killed, its daemon restarted."""

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from attn_research.host import layout
from attn_research.launch import slurm
from attn_research.studies import store
from tests.command import command
from tests.launch.slurm_test import STUDY, ended

SCRIPT = Path(__file__).parents[2] / "scripts" / "slurm.sh"
INSTALLED = all(map(shutil.which, ("slurmctld", "slurmd", "munged", "sbatch")))


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    folder = Path("/tmp") / f"slurm-{os.getpid()}"  # a socket's path is short
    subprocess.run([SCRIPT, "start", folder], check=True, timeout=120)
    monkeypatch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.py").write_text(STUDY.replace("STEPS", "20_000"))
    yield folder
    subprocess.run(["scancel", "--user=root"], check=False)
    subprocess.run([SCRIPT, "stop", folder], check=True)
    shutil.rmtree(folder, ignore_errors=True)


def said():
    """What SLURM and its jobs have said."""
    logs = [file.read_text() for file in Path("out/slurm").glob("*.log")]
    return "\n".join([subprocess.getoutput("squeue; sinfo"), *logs])


def until(true, seconds=300):
    """Waits until `true()`, and does not let a task that was put back wait."""
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit, said()
        for task in slurm.queue("out").values():
            if task.reason == "BeginTime":
                update = ["scontrol", "update", f"jobid={task.job}", "StartTime=now"]
                subprocess.run(update, check=False, capture_output=True)
        time.sleep(0.5)


def signalled(id, name):
    """Sends a signal to the job of a cell.

    scancel may say that the job cannot be altered and signal it all the same, and then
    try again for a minute.
    """
    queue = slurm.queue("out")
    assert id in queue, said()
    job = queue[id].job
    with suppress(subprocess.TimeoutExpired):
        words = ["scancel", "--batch", f"--signal={name}", job]
        subprocess.run(words, check=False, timeout=5)


@pytest.mark.faults
@pytest.mark.skipif(
    not INSTALLED or os.getuid() != 0,
    reason="SLURM is not installed (scripts/slurm.sh)",
)
def test_a_sweep_survives_what_a_cluster_does_to_it(cluster, tmp_path):
    assert command("sweep", "--experiment=study.py", "--out=local").code == 0
    options = f"--slurm=--time=00:30:00 --cpus-per-task={os.cpu_count()}"
    told = command(
        "sweep", "--experiment=study.py", "--out=out", "--submit=slurm", options
    )
    assert "3 cells" in told.out
    first, second, third = store.read_study("out")["asked"]
    places = {id: store.place("out", id) for id in (first, second, third)}

    def has(id, name):
        return (places[id] / name).exists()

    def done(id):
        return store.state("out", id)[0] == "done"

    # Asked to stop, as by a time limit.
    until(lambda: has(first, layout.METRICS))
    signalled(first, "USR1")
    until(lambda: slurm.queue("out")[first].state == "PENDING")
    assert 0 < layout.saved(places[first]) < 20_000
    # The step of a job is killed: it is not queued any more, and submitted again.
    until(lambda: has(second, layout.LOG))
    signalled(second, "KILL")
    until(lambda: second not in slurm.queue("out"))
    until(lambda: store.state("out", second)[0] != "running")  # it checkpoints yet
    told = command("sweep", "--out=out", "--submit=slurm", options)
    assert "1 cells" in told.out
    # The node's daemon is restarted; what runs goes on.
    until(lambda: has(third, layout.LOG))
    os.kill(int((cluster / "slurmd.pid").read_text()), signal.SIGKILL)
    (cluster / "slurmd.pid").unlink()
    subprocess.run(["slurmd"], check=True)
    until(lambda: all(map(done, places)), seconds=600)
    until(lambda: not slurm.queue("out"))
    assert ended("out") == ended("local")
    assert "3 done" in command("sweep", "--out=out", "--submit=slurm").out
