"""What a run says of its time, and checkpoints by the clock."""

import re

import pytest

from attn_research import checkpoint, loop
from attn_research.config import Config, Population, content_hash, edit, to_dict
from attn_research.host import exits, layout
from attn_research.host.progress import Progress
from tests.train_test import SMALL, assert_same_run

LONG = {"train.eval_every": 12, "train.checkpoint_every": 12, "train.keep": 0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run that is saved at its end alone, and the same by the clock too."""
    folder = tmp_path_factory.mktemp("timing")
    members = Population(seed=(0, 1))
    for name, minutes in (("rare", 0.0), ("often", 1e-6)):
        config = edit(SMALL, {**LONG, "train.checkpoint_minutes": minutes})
        assert loop.run(config, members, folder / name) == exits.DONE
    return folder


def test_checkpoints_are_taken_by_the_clock_between_evaluations(folder):
    assert checkpoint.steps(folder / "rare" / layout.CHECKPOINTS) == [12]
    often = checkpoint.steps(folder / "often" / layout.CHECKPOINTS)
    assert len(often) > 1 and min(often) < 12 == max(often)
    assert_same_run(folder / "rare", folder / "often")


def test_a_cell_is_named_without_the_minutes_unless_they_are_given():
    plain = Config()
    assert "checkpoint_minutes" not in to_dict(plain)["train"]
    given = edit(plain, {"train.checkpoint_minutes": 5.0})
    assert to_dict(given)["train"]["checkpoint_minutes"] == 5.0
    assert content_hash(to_dict(plain)) == content_hash(plain) != content_hash(given)


def test_steps_per_second_are_those_of_all_members_everywhere(
    folder, capsys, monkeypatch
):
    """In the log, at the end, and in the result; with the time of compilation."""
    clock = iter([0.0, 10.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    progress = Progress("name", 100, 0, "accuracy", "max", members=4)
    progress.evaluated(50, [0.5], "4 running")
    assert "20 steps/s of 4 members" in capsys.readouterr().out
    monkeypatch.undo()
    config = edit(SMALL, {**LONG, "train.steps": 24})
    assert loop.run(config, Population(seed=(0, 1)), folder / "told") == exits.DONE
    said = capsys.readouterr().out
    result = layout.read_result(folder / "told")
    assert result is not None
    found = re.search(
        r"(\S+) steps/s of all members for (\d+) s, after (\d+) s of compilation", said
    )
    assert found is not None, said
    assert found[1] == f"{result['steps_per_second']:.3g}"
    steps = sum(member["step"] for member in result["members"])
    assert result["steps_per_second"] == pytest.approx(steps / result["seconds"])
    assert found[3] == f"{result['compile_seconds']:.0f}"
