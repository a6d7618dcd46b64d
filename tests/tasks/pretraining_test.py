"""Pretraining on the texts of a task: one flag, two runs."""

import pytest

from attn_research import tasks
from attn_research.host import layout
from attn_research.host.exits import BAD_INPUT, DONE
from attn_research.options import BadInput
from attn_research.options.specs import parse
from attn_research.tasks.parts import pretraining
from tests.command import assert_one_sentence, command

pytestmark = pytest.mark.usefixtures("data_sets")
TINY = (
    "--task=classification(length=40)",
    "--model.pattern=conv",
    "--model.layers=1",
    "--model.width=8",
    "--train.steps=4",
    "--train.batch=4",
    "--train.eval_every=2",
    "--train.eval_batches=1",
    "--train.test_batches=1",
)


@pytest.mark.parametrize(
    ("task", "kind", "wanted"),
    [
        (
            "classification(data=movie_reviews,length=64)",
            "masked",
            "masked_text(data=movie_reviews,feature=text,length=64)",
        ),
        (
            "question_answering(length=90)",
            "causal",
            "text(data=xquad,feature=context,length=90)",
        ),
        (
            "text(data=gap,length=32,subwords=300)",
            "masked",
            "masked_text(data=gap,length=32,subwords=300)",
        ),
        ("code(path=x,length=99)", "causal", "text(path=x,length=99,suffix=.py)"),
    ],
)
def test_the_texts_of_a_task_are_those_pretrained_on(task, kind, wanted):
    found = pretraining.spec(tasks.resolve(task), kind)
    assert tasks.make(found) == tasks.make(wanted)


def test_what_reads_no_text_and_unknown_kinds_are_one_sentence():
    with pytest.raises(
        BadInput, match="recall has no text to pretrain on; the task must be"
    ):
        pretraining.spec(tasks.resolve("recall"), "masked")
    with pytest.raises(BadInput, match="Unknown kind of pretraining 'maskd'"):
        pretraining.spec(tasks.resolve("classification"), "maskd")


def test_one_flag_pretrains_and_starts_from_there(tmp_path):
    out = tmp_path / "run"
    again = [*TINY, "--pretrain=masked", "--pretrain_steps=2", f"--out={out}"]
    ended = command("train", *again)
    assert ended.code == DONE, ended.err
    first, run = (layout.read_config(tmp_path / n) for n in ("run-pretraining", "run"))
    name, options = parse(first.config.task)
    assert (name, options["data"]) == ("masked_text", "movie_reviews")
    assert first.config.train.steps == 2 and first.config.init.path is None
    assert run.config.init.path == str(tmp_path / "run-pretraining")
    assert run.config.init.digest and run.config.train.steps == 4
    assert command("train", *again).code == DONE  # both are done already
    ended = command("train", *again, "--init_from=x")
    assert_one_sentence(ended, "--init_from and --pretrain exclude each other")
    assert ended.code == BAD_INPUT
