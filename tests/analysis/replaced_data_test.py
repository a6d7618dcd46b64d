"""A model is looked at with the data that it was trained on, or with none of them."""

import pytest

import attn_research as ar
from attn_research import loop
from attn_research.analysis import lengths, subject
from attn_research.checkpoint import portable
from attn_research.config import Config, Population, edit
from attn_research.host.exits import DONE
from tests.command import assert_one_sentence, command
from tests.own_data.reading import reviews, table

SPEC = 'classification(data=mine,length=16,data_dir="{}")'
TINY = {
    "model.pattern": "conv",
    "model.layers": 1,
    "model.width": 4,
    "train.batch": 2,
    "train.steps": 1,
    "train.eval_every": 1,
    "train.eval_batches": 1,
    "train.test_batches": 1,
}
WORDS = "that of the data that the model was trained with"


def test_a_set_that_was_replaced_is_no_subject_of_an_older_run(tmp_path):
    rows, sets = tmp_path / "mine.csv", tmp_path / "sets"
    prepare = ("--as=classification", f"--from={rows}", f"--data_dir={sets}")
    table(rows, reviews(60))
    assert command("prepare_data", *prepare).code == DONE
    run = tmp_path / "r1"
    config = edit(Config(), {"task": SPEC.format(sets), **TINY})
    assert loop.run(config, Population(), run) == DONE
    of = ar.load(run)
    assert len(of.data) == 16
    assert subject.of_split(of, "test", 2, 16).total == 2
    assert set(lengths.at_lengths(of, [16, 8], 2).length_N) == {16, 8}

    table(rows, reviews(60, first=100))
    assert command("prepare_data", *prepare, "--replace").code == DONE
    with pytest.raises(ar.BadInput, match=WORDS):
        subject.of_split(of, "test", 2, 16)
    with pytest.raises(ar.BadInput, match=WORDS):
        lengths.at_lengths(of, [16, 8], 2)
    out = tmp_path / "page"
    assert_one_sentence(command("analyze", str(run), f"--out={out}"), WORDS)
    assert not out.exists()
    assert subject.of_text(of, "good").total == 1  # asks nothing of the data
    # What is not known differs from nothing.
    assert subject.of_split(of._replace(data=""), "test", 2, 16).total == 2

    pytest.importorskip("safetensors", reason="the extra export is not installed")
    file = tmp_path / "r1.safetensors"
    portable.export(run, file)
    assert ar.load(file).data == of.data
