"""Flags that contradict each other, or that nothing would read, are refused."""

import pytest

from attn_research.host import layout
from attn_research.host.exits import BAD_INPUT, DONE
from attn_research.studies import store
from attn_research.studies.study import cells
from tests import planted
from tests.command import assert_one_sentence, command

TRAIN = ("--model.pattern=conv", "--out=unused")
REFUSED = [
    ("train", [*TRAIN, "--init.member=1"], "--init.member does nothing without"),
    ("train", [*TRAIN, "--init.step=5"], "--init.step does nothing without"),
    ("train", [*TRAIN, "--init.digest=ab"], "--init.digest does nothing without"),
    ("train", [*TRAIN, "--pretrain_steps=5"], "does nothing without --pretrain"),
    ("train", ["--workers=2"], "Unknown flag --workers"),
    ("sweep", ["--status", "--collect", "--out=x"], "--status and --collect exclude"),
    ("sweep", ["--status", "--dry_run", "--out=x"], "--dry_run and --status exclude"),
    ("sweep", ["--status", "--workers=2", "--out=x"], "--workers does nothing with"),
    ("sweep", ["--status", "--set=a=1", "--out=x"], "--set does nothing with --status"),
    ("sweep", ["--dry_run", "--grace=5"], "--grace does nothing with --dry_run"),
    (
        "sweep",
        ["--dry_run", "--allow_inexact_resume"],
        "--allow_inexact_resume does nothing with --dry_run",
    ),
    ("sweep", ["--collect", "--lr=1", "--out=x"], "--lr does nothing with --collect"),
    ("report", ["x", "--out=y"], "--out does nothing without --ledger"),
    ("report", ["x", "--workers=2"], "Unknown flag --workers"),
    ("analyze", ["x", "--text=a", "--split=train"], "--split does nothing with --text"),
    ("analyze", ["x", "--file=a", "--sequences=3"], "--sequences does nothing with"),
    ("analyze", ["x", "--list"], "--list shows no run; x must be left out"),
    ("analyze", ["--list", "--text=a"], "--text does nothing with --list"),
    ("prepare_data", ["gap", "--list"], "gap must be left out"),
    ("prepare_data", ["--list", "--raw_dir=x"], "--raw_dir does nothing with --list"),
]


@pytest.mark.parametrize(("script", "arguments", "words"), REFUSED)
def test_a_flag_that_nothing_reads_is_refused(script, arguments, words, tmp_path):
    assert_one_sentence(command(script, *arguments), words)
    assert not list(tmp_path.iterdir())


def test_raw_files_are_not_read_of_a_set_of_tfds(tmp_path):
    (tmp_path / "mine" / "1.0.0").mkdir(parents=True)
    (tmp_path / "mine" / "1.0.0" / "dataset_info.json").write_text("{}")
    arguments = ["mine", "--raw_dir=x", f"--data_dir={tmp_path}"]
    words = "--raw_dir does nothing for sets that TFDS has prepared"
    assert_one_sentence(command("prepare_data", *arguments), words)


def test_flags_at_their_defaults_are_no_contradiction(tmp_path):
    """A run's flags.txt names every flag."""
    ended = command(
        "train", *TRAIN, "--init.trunk=all", "--pretrain_steps=0", "--seed="
    )
    assert ended.code == BAD_INPUT and "does nothing" not in ended.err


@pytest.fixture
def begun(tmp_path):
    """A study whose cells are done, and of an experiment that is nowhere."""
    study = planted.study(patterns=("dense", "conv"), lengths=(32,))
    planted.written(tmp_path / "study", study)
    assert len(cells(study)) == 2
    return tmp_path / "study"


def test_a_study_goes_on_by_its_directory_alone(begun):
    ended = command("sweep", f"--out={begun}")
    assert ended.code == DONE, ended.err
    assert "results.csv: 8 members of finished cells" in ended.out
    (first, _) = store.read_study(begun)["cells"]
    (store.place(begun, first["id"]) / layout.RESULT).unlink()
    (store.place(begun, first["id"]) / layout.CONFIG).write_text("{")
    ended = command("sweep", f"--out={begun}")  # each of its cells was asked for
    assert ended.code == 1 and first["id"] in ended.out
    assert command("sweep", f"--out={begun}", "--only=2/2").code == DONE


def test_what_a_study_that_has_begun_cannot_change_is_refused(begun):
    ended = command("sweep", f"--out={begun}", "--lr=1e-3")
    assert_one_sentence(ended, "--lr does nothing without --experiment for a study")


def test_without_a_study_the_experiment_is_asked_for(tmp_path):
    assert_one_sentence(
        command("sweep", f"--out={tmp_path}"), "--experiment is missing"
    )
