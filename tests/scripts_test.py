"""The scripts as a user meets them: a process of their own."""

import os
import resource
import subprocess
import sys

import pytest

from attn_research.host.exits import DONE
from tests.command import ROOT, Ended, assert_one_sentence, command


def python(*arguments: str) -> tuple[subprocess.CompletedProcess, float]:
    """A process of its own, and the processor seconds it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return done, spent


@pytest.mark.parametrize(
    "script", ["train", "sweep", "report", "analyze", "prepare_data"]
)
def test_help_answers_at_once(script):
    """Half a second on a quiet machine; importing jax alone takes more than 1 s."""
    done, spent = python(str(ROOT / "scripts" / f"{script}.py"), "--help")
    assert done.returncode == DONE, done.stderr
    assert "Flags:" in done.stdout and "--flagfile" in done.stdout
    assert spent < 1.0


def test_help_lists_the_flags_with_their_defaults():
    told = command("train", "--help").out
    for line in (
        "--model.width (default 64)",
        "--lr (default 0.001)",
        "--train.schedule (default cosine)",
        "--task.OPTION=VALUE",
    ):
        assert line in told
    assert "One of constant, cosine, wsd." in told


def test_a_process_ends_with_the_sentence_and_the_code(tmp_path):
    script = str(ROOT / "scripts" / "train.py")
    done, _ = python(script, "--model.width=10", f"--out={tmp_path / 'run'}")
    ended = Ended(done.returncode, done.stdout, done.stderr)
    assert_one_sentence(ended, "the width 10 and 4 heads; the number")
