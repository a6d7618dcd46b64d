"""A finished cell is trained again: the same bits, or the number that differs."""

import json

import pytest

from attn_research.host import layout
from attn_research.host.durable import write_json
from attn_research.launch import again
from attn_research.options import BadInput
from attn_research.studies import store
from tests.command import assert_one_sentence, command

STUDY = """
from attn_research.config import Config, Model, Population, Train
from attn_research.studies.study import Study

STUDIES = {"quick": Study(
    name="repeated",
    question="Does it come out again?",
    claim="It does.",
    base=Config(
        task="recall(length=8,pairs=1,vocabulary=16)",
        model=Model(pattern="conv", layers=1, width=4),
        train=Train(batch=2, steps=6, eval_every=3, eval_batches=1, test_batches=1,
                    decode=0),
    ),
    population=Population(seed=(0, 1)),
)}
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("repeated")
    (folder / "repeated.py").write_text(STUDY)
    out = folder / "out"
    asked = (f"--experiment={folder / 'repeated.py'}", f"--out={out}")
    assert command("sweep", *asked).code == 0
    return out


def test_a_cell_comes_out_again_and_a_number_that_does_not_is_named(done, tmp_path):
    ended = command("report", str(done), "--ledger", "--verify", f"--out={tmp_path}")
    assert ended.code == 0, ended.err
    assert "the same bits" in ended.out.splitlines()[-1]
    (id,) = [cell["id"] for cell in store.read_study(done)["cells"]]
    place = store.place(done, id)
    result = layout.read_result(place)
    kept = json.loads(json.dumps(result))
    result["members"][1]["test"]["loss"] += 1e-9
    result["environment"]["jax"] = "0.1"
    write_json(place / layout.RESULT, result)
    found = again.again(done, id)
    write_json(place / layout.RESULT, kept)
    (number,) = found.numbers
    assert number.startswith("loss in test of member 1 was ")
    assert any("jax was '0.1'" in one for one in found.environment)
    assert f"cell {id}: {number} (in another environment: " in found.sentence


def test_without_a_finished_cell_there_is_nothing_to_repeat(done):
    with pytest.raises(BadInput, match="has no finished cell"):
        again.cheapest(done, [])
    assert_one_sentence(command("report", str(done), "--verify"), "without --ledger")
