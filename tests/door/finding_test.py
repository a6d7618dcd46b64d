"""Models, results and curves of a study are found by what its cells have run."""

import csv
import io
import shutil
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attn_research as ar
from attn_research import loop
from attn_research.config import Config, Model, Population, Train
from attn_research.host import exits, layout
from attn_research.host.durable import write_json
from attn_research.studies import store
from attn_research.studies.described import read_study
from attn_research.studies.selection import resolved
from attn_research.studies.study import Study

SMALL = Config(
    task="recall(length=8,pairs=1,vocabulary=16)",
    model=Model(layers=1, width=4),
    train=Train(
        steps=4, batch=2, eval_every=2, checkpoint_every=2, eval_batches=1,
        test_batches=1, decode=0,
    ),
)  # fmt: skip
LENGTHS = (8, 12)
STUDY = Study(
    name="small",
    question="Are the cells found?",
    claim="They are.",
    base=SMALL,
    axes={"model.pattern": ("conv", "conv(width=2)"), "task.length": LENGTHS},
    population=Population(seed=(0, 1), lr=(1e-3, 0.25)),
)
MEMBERS = 4


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """Four cells: three are done, one has not begun."""
    directory = tmp_path_factory.mktemp("found") / "study"
    made = resolved(STUDY)
    store.open_study(directory, STUDY, made)
    for cell in made[:3]:
        loop.run(cell.config, cell.population, store.place(directory, cell.id))
    return directory


def refused(call, *given, **named) -> str:
    with pytest.raises(ar.BadInput) as caught:
        call(*given, **named)
    said = str(caught.value)
    assert len(said.splitlines()) == 1
    return said


def test_a_cell_is_chosen_by_its_mixer_and_by_fields(study):
    at = {"task.length": 12}
    restored = ar.load(study, mixer="conv", where=at)
    assert restored.config.task.startswith("recall(length=12")
    assert "width=4" in restored.config.model.pattern  # written out
    row = next(
        row for row in ar.results(study)
        if row["mixer"] == "conv" and row["task.length"] == 12 and row["member"] == 1
    )  # fmt: skip
    one = ar.load(study, 1, mixer="conv(width=4)", where={"task.length": "12"})
    other = ar.load(row["directory"], member=1)
    assert one.hypers == other.hypers
    assert {name: one.hypers[name] for name in ("seed", "lr")} == {
        name: row[name] for name in ("seed", "lr")
    }
    for left, right in zip(
        jax.tree.leaves(one.params), jax.tree.leaves(other.params), strict=True
    ):
        np.testing.assert_array_equal(left, right)
    logits_BTV = restored.model.apply(restored.params, jnp.zeros((1, 12), jnp.int32))
    assert logits_BTV.shape == (1, 12, 16)
    assert ar.load(study, mixer="conv", where=at, step=2).step == 2
    # Only one cell has this mixer and a length, the other is told apart by it.
    assert ar.load(study, mixer="conv(width=2)", where={"task.length": 8.0}).step == 4


def test_names_alone_stand_for_any_options(study, tmp_path):
    with_width_2 = [r["cell"] for r in ar.results(study) if r["mixer"] != "conv"]
    (tmp_path / "study").mkdir()
    stored = read_study(study)
    stored["cells"] = [c for c in stored["cells"] if c["id"] in with_width_2]
    stored["asked"] = [cell["id"] for cell in stored["cells"]]
    write_json(tmp_path / "study" / layout.STUDY, stored)
    (tmp_path / "study" / layout.CELLS).symlink_to(study / layout.CELLS)
    restored = ar.load(tmp_path / "study", mixer="conv")
    assert "width=2" in restored.config.model.pattern
    for mixer in ("conv(width=4)", "conv,conv", "conv|conv", "linear"):
        assert "Unknown mixer" in refused(ar.load, tmp_path / "study", mixer=mixer)


def test_what_is_meant_by_no_cell_or_by_several_is_said(study):
    said = refused(ar.load, study)
    assert "4 cells" in said and "mixer (conv, conv(width=2))" in said
    assert "task.length (12, 8)" in said
    said = refused(ar.load, study, mixer="conv")
    assert "2 cells" in said and "mixer" not in said and "task.length" in said
    said = refused(ar.load, study, mixer="conv(width=3)")
    assert "Unknown mixer" in said and "did you mean 'conv(width=2)'" in said
    assert "did you mean 'conv'?" in refused(ar.load, study, mixer="convv")
    said = refused(ar.load, study, mixer="conv", where={"task.lenght": 8})
    assert "did you mean 'task.length'" in said
    said = refused(ar.load, study, where={"task.length": 9})
    assert "No cell" in said and "must be 12, 8" in said
    run = next(row["directory"] for row in ar.results(study))
    assert "must be left out" in refused(ar.load, run, mixer="conv")
    assert "not a run directory" in refused(ar.load, study / "cells")
    assert "must be" in refused(ar.load, run, member=MEMBERS)
    with pytest.raises(ar.BadInput):  # a cell that has not begun
        ar.load(study, mixer="conv(width=2)", where={"task.length": 12})


def test_cells_that_differ_in_their_populations_alone_are_told_apart(study, tmp_path):
    shutil.copytree(study, tmp_path / "study")
    more = Study(**{**vars(STUDY), "population": Population(seed=(7,))})
    store.open_study(tmp_path / "study", more, resolved(more))
    said = refused(ar.load, tmp_path / "study", mixer="conv", where={"task.length": 8})
    assert "2 cells" in said and "populations" in said


@pytest.mark.parametrize("path", [None, 5, b"r1", "", ["r1"]], ids=repr)
@pytest.mark.parametrize("call", [ar.load, ar.results, ar.curves])
def test_what_is_no_path_is_said(call, path):
    with pytest.raises(ar.BadInput, match="^The path is .*; it must be that of a run"):
        call(path)


def test_plugins_are_a_list_or_one_text(study):
    for wrong in (5, [None], [5], "", [b"p.py"]):
        with pytest.raises(ar.BadInput, match="^The plugins are .*; they must be a li"):
            ar.results(study, plugins=wrong)  # type: ignore
    with pytest.raises(ar.BadInput, match="nowhere.py"):
        ar.results(study, plugins="nowhere.py")


def test_results_are_a_tidy_table(study):
    table = ar.results(study)
    assert len(table) == 3 * MEMBERS and isinstance(table, list)
    assert all(list(row) == table.columns for row in table)
    assert table.columns[:3] == ["cell", "mixer", "task.length"]
    assert {row["mixer"] for row in table} == {"conv", "conv(width=2)"}
    assert "model.pattern" not in table.columns and "by_gap" not in table.columns
    assert all(np.ndim(value) == 0 for row in table for value in row.values())
    # The same numbers as in the results that every study has.
    for row, known in zip(table, store.rows(study), strict=True):
        for name in set(table.columns) - {"mixer", "directory"}:
            assert row[name] == known.get(name), name
    text = io.StringIO()
    writer = csv.DictWriter(text, table.columns)
    writer.writerows(table)
    assert len(text.getvalue().splitlines()) == len(table)


def test_curves_have_every_value_that_was_measured(study):
    table = ar.curves(study)
    names = ["cell", "mixer", "task.length", "member", "seed", "lr", "weight_decay"]
    assert table.columns == [*names, "step", "metric", "value"]
    assert {row["step"] for row in table} == {2, 4}
    assert {"accuracy", "loss", "train_loss"} <= {row["metric"] for row in table}
    last = {
        (row["cell"], row["member"]): row["value"]
        for row in table if row["metric"] == "accuracy" and row["step"] == 4
    }  # fmt: skip
    rows = ar.results(study)
    assert last == {(r["cell"], r["member"]): r["validation.accuracy"] for r in rows}
    hypers = {(row["member"], row["seed"], row["lr"]) for row in table}
    assert hypers == {(row["member"], row["seed"], row["lr"]) for row in rows}


def test_a_damaged_cell_is_left_out_with_a_warning(study, tmp_path):
    shutil.copytree(study, tmp_path / "study")
    id = ar.results(study)[0]["cell"]
    log = store.place(tmp_path / "study", id) / layout.METRICS
    log.write_text(log.read_text().replace("2", "3", 1))
    for table in (ar.results, ar.curves):
        with pytest.warns(UserWarning, match="damaged.*left out"):
            rows = table(tmp_path / "study")
        assert id not in {row["cell"] for row in rows}
        assert len({row["cell"] for row in rows}) == 2


def test_a_run_alone_has_results_and_curves(study, tmp_path):
    run = ar.results(study)[0]["directory"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table, lines = ar.results(run), ar.curves(run)
    assert len(table) == MEMBERS and table.columns[:3] == ["cell", "mixer", "seed"]
    assert {row["member"] for row in lines} == set(range(MEMBERS))
    (tmp_path / "empty").mkdir()
    for empty in (tmp_path / "empty", tmp_path / "missing"):
        for call in (ar.results, ar.curves):
            assert "neither a run nor a study" in refused(call, empty)


def test_training_from_python_gives_a_run(tmp_path):
    run = ar.train(SMALL, Population(seed=(0, 1)), tmp_path / "run")
    assert run.ended == "done" and run.directory == tmp_path / "run"
    scores = [member["test"]["accuracy"] for member in run.result["members"]]
    assert len(scores) == 2
    assert [row["test.accuracy"] for row in ar.results(run.directory)] == scores
    assert run.load(member=1).hypers["seed"] == 1 and run.load().step == 4
    assert {row["step"] for row in run.curves} == {2, 4}
    # A run that is done is not run again; another one is refused there.
    assert ar.train(SMALL, Population(seed=(0, 1)), tmp_path / "run") == run
    other = Population(seed=(0, 2))
    assert "must be" in refused(ar.train, SMALL, other, tmp_path / "run")
    assert "must be a Config" in refused(ar.train, "recall", other, tmp_path / "x")
    assert "must be a Population" in refused(ar.train, SMALL, {}, tmp_path / "x")
    unknown = Config(task="recal")
    assert "did you mean" in refused(ar.train, unknown, other, tmp_path / "x")


@pytest.mark.parametrize(
    "code, ended", [(exits.ALL_DIVERGED, "diverged"), (exits.REQUEUE, "stopped")]
)
def test_how_a_training_ended_is_said(code, ended, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "run", lambda *_, **more: code)
    run = ar.train(SMALL, Population(), tmp_path)
    assert run.ended == ended
    with pytest.raises(ar.BadInput, match="stopped before its end"):
        _ = run.result
