"""A study in a file of the user's own: swept, and judged by what it states."""

from attn_research.commands import recorded
from attn_research.host.exits import DONE
from tests.command import command
from tests.stranger import STUDY

EXPECTED = """
from dataclasses import replace
from attn_research.studies.study import Expectation

expected = Expectation("Two cells of two members ended", len, low=4, high=4)
STUDIES = {"quick": replace(STUDIES["quick"], expectations=(expected,))}
"""


def test_a_study_in_a_file_anywhere_is_judged_by_its_expectations(tmp_path):
    file, out = tmp_path / "mine" / "tiny.py", tmp_path / "runs"
    file.parent.mkdir()
    file.write_text(STUDY + EXPECTED)
    ended = command("sweep", f"--experiment={file}", f"--out={out}")
    assert ended.code == DONE, ended.err
    ended = command("report", str(out))
    assert ended.code == DONE, ended.err
    assert "Two cells of two members ended: 4 (expected 4 to 4): holds" in ended.out
    file.unlink()
    ended = command("report", str(out))
    assert "the experiment tiny is not found here" in ended.out
    page = (out / "report" / "index.html").read_text()
    assert "The experiment that states the expectations was not found" in page


def test_the_file_of_the_newest_command_counts(tmp_path):
    old, new = tmp_path / "old.py", tmp_path / "new.py"
    for file in (old, new):
        file.touch()
    swept = [f"attn-research sweep --experiment={old}", f"x --experiment '{new}'"]
    assert recorded(swept) == str(new)
    assert recorded([*swept, "x --experiment=byte_lm"]) is None
    assert recorded(["it's damaged"]) is None
