"""What is said of a run beside its figures."""

import numpy as np
import pytest

from attn_research.analysis import runs, streams
from attn_research.analysis.sharing import shared
from attn_research.checkpoint import Writer, load
from attn_research.config import Config, Population, edit
from attn_research.host import environment, layout
from attn_research.host.durable import Damaged
from attn_research.modules.models import Sizes, build
from tests.analysis.made import TOKENS, VOCABULARY, restored
from tests.checkpoints import population_of

CODE = {"environment": environment.code()}


def begun(directory, *steps: int, facts=CODE):
    """A run of two members with checkpoints at these steps, and no result."""
    task = f"recall(length=16,pairs=2,vocabulary={VOCABULARY})"
    fields = {"task": task, "model.pattern": "conv", "model.width": 8}
    config = edit(Config(), {**fields, "train.steps": 100})
    sizes = Sizes("tokens", VOCABULARY, VOCABULARY, 16, True)
    layout.write_config(directory, config, Population(seed=(0, 1)), sizes._asdict())
    with Writer(directory / layout.CHECKPOINTS, keep=len(steps)) as writer:
        for step in steps:
            params_P = population_of(build(config.model, sizes), 2)
            writer.save(step, {"params": params_P}, {"best": 1, **facts})
    return directory


def test_a_finished_run_of_this_code_has_no_notes(tmp_path):
    directory = begun(tmp_path, 7)
    assert runs.member(directory).notes == [
        "The run is not finished: it is at step 7 of 100."
    ]
    (directory / layout.RESULT).write_text("{}")
    found = runs.member(directory)
    assert found.notes == [] and found.number == 1 and found.restored.step == 7
    assert runs.member(directory, 0).digest == found.digest


def test_of_a_run_that_is_trained_the_newest_checkpoint_is_taken_and_said(tmp_path):
    directory = begun(tmp_path, 7)
    with Writer(directory / layout.CHECKPOINTS):
        (note,) = runs.member(directory).notes
    assert "is training the run" in note and "of step 7 of 100" in note


def test_a_damaged_newest_step_is_passed_over_and_said(tmp_path):
    directory = begun(tmp_path, 5, 9)
    facts = directory / layout.CHECKPOINTS / "00000009" / "facts.json"
    facts.write_bytes(facts.read_bytes() + b" ")
    found = runs.member(directory)
    assert found.restored.step == 5
    assert found.notes[0] == "Step 9 is damaged; step 5 is analysed."
    with pytest.raises(Damaged):
        runs.member(directory, step=9)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({}, "does not record which version of the code"),
        (
            {"environment": {"code": "0" * 16, "commit": "abc" * 14}},
            "Another version of the code trained the run (commit abcabcabcabc)",
        ),
        (
            {"environment": {"code": "0" * 16, "commit": "none"}},
            "Another version of the code trained the run (digest 0000",
        ),
    ],
)
def test_a_note_says_that_the_code_is_unknown_or_another(tmp_path, facts, words):
    notes = runs.member(begun(tmp_path, 1, facts=facts)).notes
    assert len(notes) == 2 and words in notes[1]


def test_members_share_their_programs(tmp_path):
    """A function of a restored model is traced once for all members of its run."""
    directory, traced = begun(tmp_path, 3), []

    @shared(1)
    def doubled(of, twice: bool, inputs):
        traced.append(twice)
        table_VD = of.model.bind(of.params).trunk.frontend.table.get_value()
        return (2 if twice else 1) * table_VD[inputs]

    first, second = load(directory, 0), load(directory, 1)
    once = [doubled(of, True, TOKENS) for of in (first, second)]
    assert traced == [True] and (np.asarray(once[0]) != np.asarray(once[1])).any()
    doubled(first, False, TOKENS)
    assert traced == [True, False]
    doubled(restored("conv"), True, TOKENS)
    assert len(traced) == 3
    table_VD = first.params["trunk"]["frontend"]["table"]
    np.testing.assert_allclose(once[0], 2 * table_VD[TOKENS], rtol=1e-6)


def test_one_program_serves_layers_that_are_alike():
    from attn_research.analysis import gradients

    of = restored("conv", layers=3)
    before = gradients._of_block._cache_size()
    for layer in range(3):
        gradients.output_energy(of, TOKENS, layer=layer)
    assert gradients._of_block._cache_size() == before + 1
    assert len(streams(of, TOKENS)) == 4
