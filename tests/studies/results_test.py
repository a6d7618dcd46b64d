"""The rows of a study, and their table."""

import csv

import pytest

from attn_research.config import Config, Model
from attn_research.host import layout
from attn_research.host.journal import Journal
from attn_research.studies import store
from attn_research.studies.results import as_csv, safe, varying
from attn_research.studies.study import Study, cells
from tests.studies.store_test import STUDY, finish


@pytest.fixture
def opened(tmp_path):
    return store.open_study(tmp_path / "study", STUDY, cells(STUDY))


def test_collecting_gives_every_finished_member_once(opened):
    directory, ids = opened
    for id in ids[:2]:
        finish(store.place(directory, id))
    rows = store.collect(directory)
    assert [(row["cell"], row["member"]) for row in rows] == [
        (id, member) for id in ids[:2] for member in range(4)
    ]
    first = rows[0]
    assert first["model.width"] == 64 and first["task.length"] == 32
    assert first["by_gap"] == {"low": [0], "high": [8], "count": [3]}
    with open(directory / "results.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 8
    assert "task.length" in table[0] and "model.pattern" not in table[0]
    assert table[3]["test.accuracy"] == str(0.2 * 3)
    assert "by_gap" not in table[0] and "environment" not in table[0]
    assert store.rows(directory) == rows
    (directory / "results.csv").unlink()
    store.collect(directory)
    with open(directory / "results.csv", newline="") as file:
        assert list(csv.DictReader(file)) == table


def test_rows_have_the_last_training_loss_and_what_was_written(opened):
    directory, ids = opened
    folder = store.place(directory, ids[0])
    finish(folder, decoded={"metrics": {"exact_match": 0.25}, "samples": []})
    with Journal(folder / layout.METRICS) as journal:
        for step, loss in ((2, 3.0), (4, 1.5)):
            for member in (0, 1):
                journal.append({"step": step, "member": member, "train_loss": loss})
    rows = store.collect(directory)
    assert [row["train_loss"] for row in rows] == [1.5, 1.5, None, None]
    assert all(row["decoded.exact_match"] == 0.25 for row in rows)
    with open(directory / "results.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["train_loss"] for row in table] == ["1.5", "1.5", "", ""]
    assert all(row["decoded.exact_match"] == "0.25" for row in table)
    (folder / layout.METRICS).write_text("no record\n")
    reported = []
    rows = store.rows(directory, reported.append)
    assert [row["train_loss"] for row in rows] == [None] * 4
    assert len(reported) == 1 and layout.METRICS in reported[0]


@pytest.mark.parametrize(
    "value, wanted",
    [
        ("=1+1", "'=1+1"),
        ("+cmd", "'+cmd"),
        ("-x", "'-x"),
        ("@a", "'@a"),
        ("\tx", "'\tx"),
        ("-1.5e-3", "-1.5e-3"),
        ("+3", "+3"),
        ("-inf", "-inf"),
        (-2.5, -2.5),
        ("a=b", "a=b"),
        (None, None),
    ],
)
def test_no_spreadsheet_takes_a_cell_for_a_formula(value, wanted):
    assert safe(value) == wanted


def test_csv_of_nothing_has_a_header():
    assert as_csv([]).startswith("cell,member,status,seed")
    assert varying([]) == []


def test_a_run_of_the_study_keeps_its_model(opened):
    """A field that no axis varies is in every row, whatever its default becomes."""
    study = Study("n", "q", "c", Config(model=Model(width=16)))
    found = store.open_study(opened.directory.parent / "other", study, cells(study))
    finish(store.place(found.directory, found.ids[0]))
    assert {row["model.width"] for row in store.rows(found.directory)} == {16}
