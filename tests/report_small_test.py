"""Reports of studies with little in them, and of one figure."""

import csv
import dataclasses
import json

import pytest

from attn_research import report, store
from attn_research.durable import write_json
from attn_research.report import drawings, figures, saving
from attn_research.report.kinds import kinds
from attn_research.study import Expectation, Interval, cells
from tests import planted
from tests.pages import STUDY, Page


def test_a_study_that_has_not_begun(tmp_path):
    planted.written(tmp_path, STUDY, lambda cell, result: None)
    shown = Page(report.write(tmp_path, STUDY).path)
    assert "0 of 12 cells done" in shown.text and "undecided" in shown.text
    assert not {"#texts", "#unread"} & set(shown.values("href"))
    assert not list(shown.folder.glob("*.svg"))
    assert shown.text.count("waiting") >= 12


def test_what_is_measured_so_far_decides_nothing(tmp_path):
    certain = Expectation("Sure", lambda rows: Interval(1.0, 0.9, 1.1), low=0.5)
    study = dataclasses.replace(
        planted.study(certain, patterns=("lstm", "conv"), lengths=(32,)),
        source="A. Nyone, 1999, arXiv:9901.00001",
        confounds=("Parameters are equal.", "<b>Data</b> too."),
    )
    planted.written(tmp_path, study, lambda cell, result: None)
    written = report.write(tmp_path, study)
    shown = Page(written.path)
    assert [found.holds for found in written.findings] == [None]
    assert "2 of the cells asked for have not ended" in shown.text
    assert "1 (0.9 to 1.1)" in shown.text and "undecided" in shown.text
    assert "(A. Nyone, 1999, arXiv:9901.00001)" in shown.text
    assert "Parameters are equal." in shown.text and "<b>Data</b> too." in shown.text
    assert "#confounds" in shown.values("href")
    assert "when the study was begun" not in shown.text
    moved = dataclasses.replace(certain, low=0.95)
    moved = dataclasses.replace(study, expectations=(moved,))
    planted.written(tmp_path, moved, lambda cell, result: None)
    again = Page(report.write(tmp_path, moved).path)
    told = "Expected when the study was begun, and not now: Sure, at least 0.5."
    assert f"{told} Expected now, and not when the study was begun: Sure" in again.text
    for cell in cells(study):
        planted.failed(tmp_path, cell, "It needs 9 GB")
    written = report.write(tmp_path, study)
    assert [found.holds for found in written.findings] == [True]
    assert "have not ended" not in Page(written.path).text


def test_what_each_kind_of_example_scores(tmp_path):
    """The mean over seeds at the rate that validation chose; of one cell nothing."""

    def grouped(cell, result):
        for member in result["members"] if cell.config.model.pattern != "lstm" else []:
            late = 0.1 * member["seed"] - (member["lr"] > 2e-3)
            member["by_group"] = {
                "name": ["george", "lucas"],
                "count": [9.0, 8.0],
                "accuracy": [0.5 + late, 0.8 + late],
            }
        return result

    study = planted.study(patterns=("lstm", "conv"), lengths=(32,))
    planted.written(tmp_path, study, grouped)
    shown = Page(report.write(tmp_path).path)
    assert "By kind of example" in shown.text and "george" in shown.text
    (row,) = kinds(drawings.prepared(store.rows(tmp_path)))
    apart, told = row.pop("apart"), {n: row[n] for n in ("george", "lucas")}
    assert row["mixer"] == "conv" and apart == pytest.approx(0.3)
    assert told == pytest.approx({"george": 0.55, "lucas": 0.85})


def test_what_a_study_never_wrote_down_is_not_said_to_be_predicted(tmp_path):
    study = planted.study(Expectation("Sure", lambda rows: 1.0), lengths=(32,))
    planted.written(tmp_path, study, lambda cell, result: None)
    found = store.read_study(tmp_path)
    del found["expected"]
    write_json(tmp_path / store.STUDY, found)
    shown = Page(report.write(tmp_path, study).path)
    assert "What is expected was not written down" in shown.text


def test_a_cell_with_one_member_and_one_whose_members_all_diverged(tmp_path):
    def spoilt(cell, result):
        result["members"] = result["members"][:1]
        if cell.config.model.pattern == "lstm":
            nothing = {
                "validation": {},
                "test": {},
                "by_gap": None,
                "by_position": None,
            }
            result["members"][0].update(status="diverged", **nothing)
        return result

    study = planted.study(patterns=("lstm", "conv"), lengths=(32,))
    planted.written(tmp_path, study, spoilt)
    shown = Page(report.write(tmp_path).path)
    assert "2 of 2 cells done" in shown.text and "undecided" in shown.text
    assert "1 diverged" in shown.text
    assert (shown.folder / "by_gap.csv").exists()
    assert not (shown.folder / "learning_rate.csv").exists()


def test_a_table_holds_no_formula(tmp_path):
    drawn = figures.Figure("f", "F", "c", None, [{"series": "=1+1", "x": -1.5}])

    class Blank:
        def savefig(self, content, **_):
            content.write(b"")

        def set_layout_engine(self, layout):
            pass

    saving.save(tmp_path, drawn._replace(drawing=Blank()))
    assert (tmp_path / "f.csv").read_text() == "series,x\n'=1+1,-1.5\n"


def in_bits(cell, result):
    """The same numbers under another name, of the longer sequences."""
    if "length=64" not in cell.config.task:
        return result
    text = json.dumps(result).replace('"accuracy"', '"bits_per_byte"')
    return {**json.loads(text), "goal": "min"}


def test_tasks_of_different_metrics_have_figures_and_columns_of_their_own(tmp_path):
    one = planted.study(patterns=("dense", "conv"), lengths=(32, 64))
    planted.written(tmp_path, one, in_bits)
    page = Page(report.write(tmp_path, one).path)
    names = {path.stem for path in page.folder.glob("*.csv")}
    assert {"by_gap", "by_gap_bits_per_byte", "learning_rate_bits_per_byte"} <= names
    assert "Quality by distance: bits_per_byte" in page.text
    with open(page.folder / "by_gap_bits_per_byte.csv") as file:
        rows = list(csv.DictReader(file))
    assert {"panel", "series", "gap", "bits_per_byte"} <= set(rows[0])
    source = (page.folder / "index.html").read_text()
    assert "<th>metric</th>" in source and "<th>quality</th>" in source
