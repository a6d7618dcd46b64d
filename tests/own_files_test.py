"""A user's own files beside ours stop none of our checks."""

import subprocess

import pytest

from attn_research.studies import selection
from tests import expectations_test, experiments_test
from tests.command import ROOT

MINE = "STUDIES={'quick':Study('a','b','c')}"


def checks() -> str:
    """The part of scripts/test.sh that lints and types."""
    lines = (ROOT / "scripts" / "test.sh").read_text().splitlines()
    first = lines.index("if [ $# -eq 0 ]; then")
    return "\n".join(lines[first : lines.index("fi", first) + 1])


@pytest.mark.parametrize("known", [True, False])
def test_only_files_that_git_knows_are_linted(tmp_path, known):
    """Without git, as in an archive of the source, all of them."""
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "ours.py").write_text("")
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    if known:
        for words in (["init", "-q"], ["add", "experiments/ours.py"]):
            subprocess.run(["git", *words], cwd=tmp_path, check=True)
    (tmp_path / "experiments" / "mine.py").write_text(MINE)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"python={python}\n{checks()}"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "GIT_CEILING_DIRECTORIES": str(tmp_path.parent)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    lint, form, types = done.stdout.splitlines()
    for line in (lint, form):
        assert ("experiments/ours.py" in line) == known
        assert line.endswith(" .") == (not known)
        assert "mine" not in line
    assert ("experiments/ours.py" in types) == known and "mine" not in types


def test_ours_are_listed_and_a_new_one_is_held_to_nothing():
    found = selection.experiments(ROOT / "experiments")
    assert set(experiments_test.NAMES) <= set(found)
    assert experiments_test.NAMES == expectations_test.NAMES
    assert len(experiments_test.NAMES) > 30
