"""The directory of a study: its cells by content, results rebuilt from files."""

import dataclasses
import json
import shutil

import pytest

from attn_research.config import Config, Population, Train
from attn_research.host import layout
from attn_research.host.durable import Damaged, write_json
from attn_research.host.journal import Journal
from attn_research.host.lock import Lock
from attn_research.options import BadInput
from attn_research.studies import store
from attn_research.studies.study import Expectation, Study, budget, cells

BASE = Config(task="recall(length=32)", train=Train(steps=4))
STUDY = Study(
    name="distance",
    question="Does it depend on distance?",
    claim="It does.",
    base=BASE,
    axes={"model.pattern": ["dense", "conv,dense"], "task.length": [32, 64]},
    population=Population(seed=(0, 1), lr=(1e-3, 3e-3)),
)


def finish(folder, **more):
    """Writes the result that a run would leave."""
    population = layout.read_config(folder).population
    grid = [(s, lr) for lr in population.lr for s in population.seed]
    result = {
        "cell": folder.name, "seconds": 2.0, "compile_seconds": 1.0,
        "steps_per_second": 3.0, "parameters": 10, "state_bytes": 8, "flops": 5,
        "peak_bytes": 100, "environment": {}, "metric": "accuracy", "goal": "max",
        "members": [
            {
                "member": i, "seed": s, "lr": lr, "weight_decay": 0.1,
                "status": "done", "step": 4, "solved_step": None,
                "validation": {"accuracy": 0.1 * i, "loss": 1.0},
                "test": {"accuracy": 0.2 * i, "loss": 2.0},
                "by_gap": {"low": [0], "high": [8], "count": [3]}, "by_position": {},
            }
            for i, (s, lr) in enumerate(grid)
        ],
        **more,
    }  # fmt: skip
    write_json(folder / layout.RESULT, result)


@pytest.fixture
def opened(tmp_path):
    return store.open_study(tmp_path / "study", STUDY, cells(STUDY))


def test_opening_writes_the_study_and_its_cells_once(opened):
    directory, ids = opened
    assert len(set(ids)) == 4
    described = store.read_study(directory)
    assert described["question"] == STUDY.question
    assert [cell["id"] for cell in described["cells"]] == ids
    before = {p: p.read_bytes() for p in directory.rglob("config.json")}
    assert len(before) == 4
    again = store.open_study(directory, STUDY, cells(STUDY))
    assert again.ids == ids
    assert before == {p: p.read_bytes() for p in directory.rglob("config.json")}
    run = store.read_cell(directory, ids[0])
    assert (run.config, run.population) == (cells(STUDY)[0].config, STUDY.population)
    assert run.population.size == 4


def test_another_study_is_refused_and_more_cells_extend(opened):
    other = Study("distance", "Another question?", "", BASE)
    with pytest.raises(BadInput, match="was written by the study 'distance'"):
        store.open_study(opened.directory, other, cells(other))
    other = dataclasses.replace(STUDY, name="reach")
    with pytest.raises(BadInput, match="that of 'reach' must be another one"):
        store.open_study(opened.directory, other, cells(other))
    one = Study(STUDY.name, STUDY.question, "", BASE, {"model.layers": [3]})
    more = store.open_study(opened.directory, one, cells(one))
    known = [cell["id"] for cell in store.read_study(opened.directory)["cells"]]
    assert known == [*opened.ids, *more.ids]


def test_a_reworded_question_resumes_a_study_of_the_same_cells(opened):
    study = dataclasses.replace(STUDY, question="Is distance what matters?")
    assert store.open_study(opened.directory, study, cells(study)) == opened
    assert store.read_study(opened.directory)["question"] == study.question


def test_a_study_of_an_earlier_version_is_read(opened):
    """It has no source and no commands, and asked for the cells that it has."""
    later = ("source", "confounds", "expected", "commands", "asked")
    described = store.read_study(opened.directory)
    old = {name: value for name, value in described.items() if name not in later}
    write_json(opened.directory / store.STUDY, old)
    again = store.read_study(opened.directory)
    assert again["source"] == ""
    assert again["confounds"] == again["expected"] == again["commands"] == []
    assert again["asked"] == opened.ids
    states = store.status(opened.directory)
    assert store.missing(again, states) == opened.ids


def test_the_first_expectations_stay(tmp_path):
    """If a study was begun before expectations were stored, they stay unknown."""

    def expecting(low):
        return dataclasses.replace(
            STUDY, expectations=(Expectation("So", lambda rows: 1.0, low, unit="s"),)
        )

    for low, size in ((0.5, "quick"), (0.7, "full")):
        store.open_study(tmp_path, expecting(low), [], size=size)
    described = store.read_study(tmp_path)
    assert described["size"] == "full"
    first = {"claim": "So", "low": 0.5, "high": None, "unit": "s"}
    assert described["expected"] == [first]
    assert described["registered"] == budget(expecting(0.5))
    del described["expected"]
    write_json(tmp_path / store.STUDY, described)
    store.open_study(tmp_path, expecting(0.7), [])
    assert store.read_study(tmp_path)["expected"] == []


def test_a_share_of_the_cells_leaves_the_others_missing(tmp_path):
    """A failed cell has ended; one that was asked for and never begun has not."""
    wanted = cells(STUDY)
    directory, ids = store.open_study(
        tmp_path / "s", STUDY, wanted[:2], asked=wanted, command="sweep it"
    )
    finish(store.place(directory, ids[0]))
    layout.write_error(store.place(directory, ids[1]), "oom", "Too big", 70)
    described = store.read_study(directory)
    missing = store.missing(described, store.status(directory))
    assert missing == [cell.id for cell in wanted[2:]]
    store.open_study(directory, STUDY, wanted[2:], asked=wanted, command="sweep it")
    store.open_study(directory, STUDY, wanted[2:], asked=wanted, command="the rest")
    assert store.read_study(directory)["commands"] == ["sweep it", "the rest"]
    for cell in wanted[2:]:
        finish(store.place(directory, cell.id))
    described = store.read_study(directory)
    assert not store.missing(described, store.status(directory, described))


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "a b"])
def test_names_that_leave_the_directory_are_refused(tmp_path, name):
    with pytest.raises(BadInput, match="name of a study"):
        store.open_study(tmp_path / "s", Study(name, "?", ""), [])
    with pytest.raises(BadInput):
        store.place(tmp_path, name)
    assert not (tmp_path / "s").exists()


def test_a_file_in_place_of_the_directory(tmp_path):
    (tmp_path / "s").write_text("x")
    with pytest.raises(BadInput, match="is a file; it must be a directory"):
        store.open_study(tmp_path / "s", STUDY, [])


def test_states(opened):
    directory, ids = opened
    done, failed, stopped, waiting = (store.place(directory, id) for id in ids)
    finish(done)
    layout.write_error(failed, "oom", "Out of memory", 70)
    with Journal(stopped / layout.METRICS) as journal:
        journal.append({"step": 5, "member": 0})
    (stopped / layout.CHECKPOINTS / "00000003").mkdir(parents=True)
    with Lock(stopped / layout.CHECKPOINTS):
        assert store.state(directory, ids[2])[0] == "running"
    rows = store.status(directory)
    assert [row.state for row in rows] == ["done", "failed", "stopped", "waiting"]
    assert rows[0].best == pytest.approx(0.3) and rows[0].seconds == 2.0
    assert rows[1].message == "oom: Out of memory"
    assert [row.step for row in rows] == [4, 0, 3, 0]
    assert list(rows[0].varies) == ["task.length", "model.pattern"]
    assert all(row.members == 4 for row in rows)
    assert not list(waiting.glob("*.lock"))  # looking leaves nothing behind


def test_a_member_that_diverged_is_never_the_best(opened):
    folder = store.place(opened.directory, opened.ids[0])
    finish(folder)
    result = json.loads((folder / layout.RESULT).read_text())
    result["members"][1]["validation"]["accuracy"] = float("nan")
    result["members"][2]["validation"] = None
    write_json(folder / layout.RESULT, result)
    assert store.status(opened.directory)[0].best == pytest.approx(0.3)
    result["goal"] = "min"
    write_json(folder / layout.RESULT, result)
    assert store.status(opened.directory)[0].best == 0.0


DAMAGE = {
    "config": (layout.CONFIG, b"{"),
    "swapped": (layout.CONFIG, None),
    "result": (layout.RESULT, b'{"members": []}'),
    "member": (layout.RESULT, b'{"members": [{"member": 0}]}'),
    "zeros": (layout.RESULT, b"\0" * 64),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_cell_is_reported_and_the_rest_go_on(opened, kind):
    directory, ids = opened
    for id in ids:
        finish(store.place(directory, id))
    name, content = DAMAGE[kind]
    path = store.place(directory, ids[1]) / name
    if content is None:  # whole, but of another cell
        shutil.copy(store.place(directory, ids[2]) / name, path)
    else:
        path.write_bytes(content)
    reported = []
    rows = store.collect(directory, reported.append)
    assert len(rows) == 12 and len(reported) == 1
    assert str(path) in reported[0] and "\n" not in reported[0]
    states = [row.state for row in store.status(directory)]
    assert states == ["done", "damaged", "done", "done"]


def test_damaged_metrics_and_errors_are_reported(opened):
    directory, ids = opened
    (store.place(directory, ids[0]) / layout.METRICS).write_text("{}\nx\n")
    (store.place(directory, ids[1]) / layout.ERROR).write_text('{"kind": "odd"}')
    rows = store.status(directory)
    assert [row.state for row in rows[:2]] == ["damaged", "damaged"]
    assert "line 2" in rows[0].message and layout.ERROR in rows[1].message


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"name": "a", "question": "b", "cells": [1]}',
        b'{"name": "a", "question": "b", "cells": [], "asked": 1}',
        b'{"name": "a", "question": "b", "cells": [], "asked": [1]}',
        b'{"name": "a", "question": "b", "cells": [], "expected": ["c"]}',
        b'{"name": "a", "question": "b", "cells": [], "claim": 1}',
        b'{"name": "a", "question": "b", "cells": [{"id": 1}]}',
        b'{"name": "/tmp/elsewhere", "question": "b", "cells": []}',
        b'{"name": "../elsewhere", "question": "b", "cells": []}',
    ],
)
def test_a_damaged_study(opened, content):
    (opened.directory / store.STUDY).write_bytes(content)
    for use in (store.status, store.collect, store.read_study):
        with pytest.raises(Damaged, match=r"study\.json"):
            use(opened.directory)


@pytest.mark.parametrize(
    ("name", "value"),
    [("step", "many"), ("validation", [1]), ("validation", {"accuracy": "x"})],
)
def test_a_result_of_another_kind_is_a_damaged_cell_among_others(opened, name, value):
    """Valid JSON that was not written so: the rest of the study is shown."""
    first, second, *_ = opened.ids
    for id in (first, second):
        finish(store.place(opened.directory, id))
    path = store.place(opened.directory, first) / layout.RESULT
    result = json.loads(path.read_text())
    result["members"][0][name] = value
    write_json(path, result)
    states = store.status(opened.directory)
    assert [cell.state for cell in states[:2]] == ["damaged", "done"]
    assert "\n" not in states[0].message and str(path.parent) in states[0].message


def test_a_hostile_id_in_a_study_is_refused(opened):
    described = store.read_study(opened.directory)
    described["cells"][0]["id"] = "../../etc"
    write_json(opened.directory / store.STUDY, described)
    with pytest.raises(BadInput, match="a cell.s id is"):
        store.status(opened.directory)


def test_no_study(tmp_path):
    with pytest.raises(BadInput, match="study directory: study.json is missing"):
        store.status(tmp_path)
