"""Sets of a user's own: prepared by the command, kept, replaced, and trained on."""

import re
from typing import get_args

import jax
import numpy as np
import pytest

from attn_research import loop, tasks
from attn_research.commands.prepare import Kind
from attn_research.config import Config, Population, edit
from attn_research.host import layout
from attn_research.host.exits import DONE
from attn_research.tasks.contract import SPLITS
from attn_research.tasks.data import packed
from attn_research.tasks.data.own import columns, kinds
from tests.command import assert_one_sentence, command
from tests.own_data.folders_test import images, sounds
from tests.own_data.kinds_test import asked, lines
from tests.own_data.pairs_test import pairs
from tests.own_data.reading import reviews, table
from tests.own_data.series_test import rows, written

TINY = {
    "model.width": 8,
    "model.layers": 1,
    "train.batch": 4,
    "train.steps": 3,
    "train.eval_every": 3,
    "train.eval_batches": 1,
    "train.test_batches": 1,
    "train.checkpoint_every": 3,
}


@pytest.fixture
def prepare(tmp_path):
    """Calls the script with a place for its sets."""
    place = f"--data_dir={tmp_path / 'sets'}"
    return lambda *flags: command("prepare_data", *flags, place)


def series(path):
    return written(path.with_suffix(".csv"), rows(200))


def texts(path):
    return table(path.with_suffix(".csv"), reviews(60))


def summaries(path):
    found = [(text, f"sum {n}") for n, (text, _) in enumerate(reviews(60))]
    return table(path.with_suffix(".csv"), found, header=("article", "summary"))


def questions(path):
    return lines(path.with_suffix(".jsonl"), map(asked, range(60)))


def pictures(path):
    images(path)
    return path


def heard(path):
    sounds(path)
    return path


def said(path):
    pairs(path, "a", 0, 60)
    return path


# Kind -> how its files are written, and the options of a small task.
KINDS = {
    "classification": (texts, "length=32"),
    "text": (texts, "length=16"),
    "translation": (said, "length=16,source_length=16"),
    "summarisation": (summaries, "length=16,source_length=32"),
    "question_answering": (questions, "length=80"),
    "forecasting": (series, "context=6,horizon=2"),
    "image_classification": (pictures, "form=rows"),
    "audio_classification": (heard, "samples=320,form=frames"),
}


def test_the_kinds_of_the_command_are_those_that_are_read():
    known = set(get_args(Kind))
    assert known == set(columns.ROLES) == {*kinds.KINDS, "forecasting"} == set(KINDS)
    assert known <= set(tasks.TASKS)


def spec_of(out: str) -> str:
    """The task that the command names at its end."""
    found = re.search(r"^Its task: --task='(.*)'$", out, re.M)
    assert found is not None, out
    return found[1]


def prepared(kind, prepare, tmp_path) -> str:
    """The spec of a small task on a set of a kind, prepared from its files."""
    write, options = KINDS[kind]
    source = write(tmp_path / "mine")
    ended = prepare(f"--from={source}", f"--as={kind}")
    assert ended.code == DONE, ended.err
    return f"{spec_of(ended.out)[:-1]},{options})"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_prepared_and_read(kind, prepare, tmp_path):
    task = tasks.make(prepared(kind, prepare, tmp_path))
    arrays = task.arrays()
    for split in SPLITS:
        batch = task.batch(jax.random.key(0), split, 2, arrays)
        assert batch.inputs.shape[:2] == (2, task.spec.length)
        assert np.asarray(batch.weights).sum() > 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_trained_on(kind, prepare, tmp_path):
    spec = prepared(kind, prepare, tmp_path)
    config = edit(Config(), {"task": spec, "model.pattern": "dense(heads=2)", **TINY})
    directory = tmp_path / "run"
    loop.run(config, Population(), directory)
    result = layout.read_result(directory)
    assert result is not None
    (member,) = result["members"]
    assert np.isfinite(member["test"]["loss"])


def manifest_of(tmp_path) -> dict:
    return packed.manifest("mine", tmp_path / "sets")


def test_a_set_is_prepared_once_and_other_content_is_refused(prepare, tmp_path):
    flags = f"--from={texts(tmp_path / 'mine')}", "--as=classification"
    first = prepare(*flags)
    assert first.code == DONE and first.err == ""
    assert "mine: prepared in" in first.out
    facts = manifest_of(tmp_path)
    found = packed.load("mine", tmp_path / "sets", verify=True)
    stored = {bytes(text).decode() for s in SPLITS for text in found[s]["text"]}
    assert stored == {text for text, _ in reviews(60)}
    counts = facts["statistics"]["classes"]["label"]
    assert {name: sum(row) for name, row in counts.items()} == {"no": 30, "yes": 30}
    again = prepare(*flags)
    assert "mine: already prepared, every byte verified" in again.out
    assert manifest_of(tmp_path) == facts
    table(tmp_path / "mine.csv", reviews(61))
    assert_one_sentence(
        prepare(*flags), "holds other content; the name must be another"
    )
    assert manifest_of(tmp_path) == facts
    assert prepare(*flags, "--replace").code == DONE
    assert manifest_of(tmp_path) != facts
    assert sum(p["examples"] for p in manifest_of(tmp_path)["splits"].values()) == 61


def test_a_name_that_is_nearly_that_of_a_packed_set_is_told_it(prepare, tmp_path):
    source = texts(tmp_path / "assets")
    assert prepare(f"--from={source}", "--as=classification").code == DONE
    ended = command(
        "train",
        f"--task=classification(data=asett,data_dir={tmp_path / 'sets'})",
        f"--out={tmp_path / 'run'}",
    )
    assert_one_sentence(ended, "asett is neither in the catalogue nor packed in")
    assert "did you mean 'assets'?" in ended.err


def test_a_damaged_set_is_made_anew_from_the_same_content(prepare, tmp_path):
    flags = f"--from={texts(tmp_path / 'mine')}", "--as=classification"
    prepare(*flags)
    facts = manifest_of(tmp_path)
    home = tmp_path / "sets" / "packed" / "mine" / "1.0.0"
    (home / "train" / "text.npy").write_bytes(b"x")
    assert "mine: prepared in" in prepare(*flags).out
    assert manifest_of(tmp_path) == facts
    (home / "manifest.json").write_bytes(b"{")
    assert "mine: prepared in" in prepare(*flags).out
    assert manifest_of(tmp_path) == facts


def test_a_writer_killed_between_archive_and_packing_is_finished(
    prepare, tmp_path, monkeypatch
):
    from attn_research.tasks.data import prepare as preparing

    flags = f"--from={texts(tmp_path / 'mine')}", "--as=classification"
    with monkeypatch.context() as patch:
        patch.setattr(
            preparing, "_pack", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        assert prepare(*flags).code != DONE
    assert "mine: prepared in" in prepare(*flags).out
    assert "already prepared" in prepare(*flags).out


def test_a_dry_run_shows_and_writes_nothing(prepare, tmp_path):
    source = texts(tmp_path / "mine")
    ended = prepare(f"--from={source}", "--as=classification", "--dry_run")
    assert ended.code == DONE
    assert "text is text, label is label" in ended.out
    assert not (tmp_path / "sets").exists()


REFUSED = {
    "one of ours": (("--as=classification", "--name=gap"), "which is one of ours"),
    "one of TFDS": (("--as=text", "--name=cifar10"), "which is one of TFDS"),
    "no name": (("--as=classification", "--name=../x"), "must be at most 60 of a-z"),
    "no kind": ((), "--as is missing; it must be one of classification, translation"),
    "another kind": (("--as=clasification",), "did you mean 'classification'?"),
    "a name beside": (("wikitext2", "--as=text"), "wikitext2 must be left out"),
    "raw files": (("--as=text", "--raw_dir=x"), "--raw_dir does nothing with --from"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_fits_nothing_is_refused(name, prepare, tmp_path):
    flags, words = REFUSED[name]
    source = texts(tmp_path / "mine")
    assert_one_sentence(prepare(f"--from={source}", *flags), words)
    assert not (tmp_path / "sets").exists()


def test_names_of_tfds_in_the_help_are_taken():
    from attn_research.commands import prepare as command
    from attn_research.tasks.data.own.prepare import TFDS

    told = re.search(r"in --data_dir \(([^)]*)\)", command.__doc__ or "")
    assert told and tuple(n.partition("/")[0] for n in told[1].split(", ")) == TFDS


def test_flags_of_own_sets_do_nothing_for_ours(prepare):
    ended = prepare("gap", "--columns=text=a")
    assert_one_sentence(ended, "--columns does nothing without --from")


def test_a_set_of_tfds_is_not_written_over(prepare, tmp_path):
    home = tmp_path / "sets" / "mine" / "1.0.0"
    home.mkdir(parents=True)
    (home / "dataset_info.json").write_text("{}")
    source = texts(tmp_path / "mine")
    ended = prepare(f"--from={source}", "--as=classification")
    assert_one_sentence(ended, "holds other content")
    assert (home / "dataset_info.json").read_text() == "{}"
