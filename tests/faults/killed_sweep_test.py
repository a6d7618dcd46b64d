"""A real sweep, killed with its cells at ten random moments, ends with equal bits."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from attn_research.host import layout
from attn_research.studies import store
from tests.faults.training import left
from tests.faults.trial import ROOT

KILLS = 10
SMALL = {
    "model.pattern": "conv,gru",
    "model.width": "8",
    "task.length": "16",
    "task.pairs": "2",
    "train.batch": "8",
    "train.steps": "24000",
    "train.eval_every": "400",
    "train.checkpoint_every": "400",
    "train.eval_batches": "1",
    "train.test_batches": "1",
}


def sweep(directory: Path) -> subprocess.Popen:
    """The command, in a process group of its own."""
    sets = [f"--set={name}={value}" for name, value in SMALL.items()]
    return subprocess.Popen(
        [
            sys.executable,
            str(ROOT / "scripts" / "sweep.py"),
            "--experiment=recall_distance",
            f"--out={directory}",
            "--workers=2",
            "--seed=0,1",
            "--lr=1e-3",
            *sets,
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=dict(os.environ, NPROC="1"),
    )


def begun(directory: Path) -> bool:
    return any(directory.glob(f"cells/*/{layout.CHECKPOINTS}/*"))


@pytest.mark.faults
def test_a_sweep_killed_again_and_again_has_the_bits_of_one_left_alone(tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert sweep(whole).wait(timeout=900) == 0
    draw, landed = random.Random(0), 0
    for _ in range(KILLS):
        process = sweep(parts)
        time.sleep(draw.uniform(2.0, 15.0))
        while not begun(parts) and process.poll() is None:
            time.sleep(0.1)
        if process.poll() is not None:
            break
        landed += 1
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        # Cells are sessions of their own: each is killed too.
        subprocess.run(["pkill", "-9", "-f", str(parts)], check=False)
    # A fast machine may be done before the last one.
    assert landed >= KILLS // 3
    assert sweep(parts).wait(timeout=900) == 0
    cells = store.read_study(whole)["cells"]
    assert len(cells) == 2
    for cell in cells:
        one, other = (store.place(d, cell["id"]) for d in (whole, parts))
        assert left(one) == left(other), f"other bits in {cell['id']}"
