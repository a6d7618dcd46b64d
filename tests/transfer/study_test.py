"""A run that starts from a study: from the one cell whose model is its own."""

from pathlib import Path

import pytest

from attn_research import loop
from attn_research.config import Config, Population, Start, edit
from attn_research.host import exits, layout
from attn_research.options import BadInput
from attn_research.studies import selection, store
from attn_research.studies.study import Study
from attn_research.training import program

BASE = edit(
    Config(),
    {
        "task": "recall(length=8,pairs=1,vocabulary=16)",
        "model.layers": 1,
        "model.width": 4,
        "train.batch": 2,
        "train.steps": 1,
        "train.eval_batches": 1,
        "train.test_batches": 1,
    },
)
PATTERNS = ("conv", "conv(width=3)")


def asked(axes: dict) -> Study:
    return Study("before", "Q?", "C.", BASE, {"model.pattern": PATTERNS, **axes})


@pytest.fixture(scope="module")
def before(tmp_path_factory) -> Path:
    """A study of two mixers, both of which are trained."""
    directory = tmp_path_factory.mktemp("studies") / "before"
    study = asked({})
    opened = store.open_study(directory, study, selection.resolved(study))
    for id in opened.ids:
        run = store.read_cell(directory, id)
        where = store.place(directory, id)
        assert loop.run(run.config, run.population, where) == exits.DONE
    return directory


def test_every_mixer_starts_from_its_own_cell(before):
    """By the model alone: neither the task nor what dropout it learns with matters."""
    axes = {"init.path": ("none", str(before)), "task.length": (12,)}
    study = asked({**axes, "model.dropout": (0.1,)})
    found = [cell.config for cell in selection.resolved(study)]
    assert [one.init.path is None for one in found] == [True, False] * 2
    for one, pattern in zip(found[1::2], PATTERNS, strict=True):
        assert one.init.path is not None and one.init.digest
        there = layout.read_config(one.init.path).config
        assert there.model.pattern == one.model.pattern
        assert there == program.resolve(edit(BASE, {"model.pattern": pattern}))
        assert program.resolve(one) == one, "what was found is not looked for again"
    assert found[1].init.path != found[3].init.path


def test_a_study_without_the_model_is_told_in_a_sentence(before, tmp_path):
    wider = edit(BASE, {"model.width": 8, "init.path": str(before)})
    with pytest.raises(BadInput, match="is a study in which no cell has the model"):
        program.resolve(wider)
    twice = tmp_path / "twice"
    for steps in (1, 2):
        config = program.resolve(edit(BASE, {"train.steps": steps}))
        folder = twice / layout.CELLS / str(steps)
        folder.mkdir(parents=True)
        layout.write_config(folder, config, Population())
    (twice / layout.STUDY).write_text("{}")
    start = Start(path=str(twice))
    with pytest.raises(BadInput, match="is a study in which 2 cells have the model"):
        program.resolve(edit(BASE, {"init.path": start.path}))
