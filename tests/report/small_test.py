"""Reports of studies with little in them, and of one figure."""

import csv
import dataclasses
import json

import pytest
from matplotlib.figure import Figure as Canvas

from attn_research import report
from attn_research.host.durable import write_json
from attn_research.report import figures, plans, saving
from attn_research.report.groups import group_scores
from attn_research.studies import store
from attn_research.studies.study import Expectation, Gate, Interval, cells
from tests import planted
from tests.pages import STUDY, Page


def test_gates_stand_before_what_is_expected_and_reasons_beside_it(tmp_path):
    half = Expectation(
        "It is half", lambda rows: 0.5, low=0.4, high=0.6, part="the middle", why="Why."
    )
    aside = Expectation("It is odd", lambda rows: 0.5, low=0.9, decides=False)
    gate = Gate("The reference solves it", lambda rows: 0.99, low=0.9)
    stated = (half, dataclasses.replace(half, claim="Again", why=""), aside)
    study = dataclasses.replace(STUDY, expectations=stated, gates=(gate,))
    planted.written(tmp_path, study)
    shown = Page(report.write(tmp_path, study).path).text
    assert shown.index("The reference solves it") < shown.index("It is half")
    assert "It is half Why." in shown and "It does not decide." in shown
    assert "the middle: supported" in shown and "Verdict: supported" in shown
    moved = dataclasses.replace(study, gates=(dataclasses.replace(gate, low=0.5),))
    again = Page(report.write(tmp_path, moved).path).text
    assert "A gate when the study began, but not now: The reference" in again


def test_a_study_that_has_not_begun(tmp_path):
    planted.written(tmp_path, STUDY, lambda cell, result: None)
    shown = Page(report.write(tmp_path, STUDY).path)
    assert "0 of 12 cells done" in shown.text and "undecided" in shown.text
    assert not {"#samples", "#notes"} & set(shown.values("href"))
    assert not list(shown.folder.glob("*.svg"))
    assert shown.text.count("waiting") >= 12


def test_cells_of_one_task_on_different_data_and_unsealed_ones_are_named(tmp_path):
    def changed(cell, result):
        digest = "ab" if "lstm" in cell.config.model.pattern else "cd"
        if "conv" == cell.config.model.pattern:
            return {name: value for name, value in result.items() if name != "data"}
        return {**result, "data": digest}

    patterns = ("dense", "linear", "lstm", "conv")
    study = planted.study(patterns=patterns, lengths=(32,))
    planted.written(tmp_path, study, changed)
    shown = Page(report.write(tmp_path, study).path).text
    assert "their data differ" in shown and "did not seal its files" in shown
    same = planted.study(patterns=("dense", "lstm"), lengths=(32,))
    planted.written(tmp_path / "same", same, lambda _, result: {**result, "data": "ab"})
    shown = Page(report.write(tmp_path / "same", same).path).text
    assert "their data differ" not in shown and "seal its files" not in shown


def test_an_unfinished_study_decides_nothing(tmp_path):
    certain = Expectation("Sure", lambda rows: Interval(1.0, 0.9, 1.1), low=0.5)
    study = dataclasses.replace(
        planted.study(certain, patterns=("lstm", "conv"), lengths=(32,)),
        source="A. Nyone, 1999, arXiv:9901.00001",
        confounds=("Parameters are equal.", "<b>Data</b> too."),
    )
    planted.written(tmp_path, study, lambda cell, result: None)
    written = report.write(tmp_path, study)
    shown = Page(written.path)
    assert [found.holds for found in written.judged.findings] == [None]
    assert "2 of the requested cells have not ended" in shown.text
    assert "1 (0.9 to 1.1)" in shown.text and "undecided" in shown.text
    assert "(A. Nyone, 1999, arXiv:9901.00001)" in shown.text
    assert "Parameters are equal." in shown.text and "<b>Data</b> too." in shown.text
    assert "#confounds" in shown.values("href")
    assert "when the study began" not in shown.text
    moved = dataclasses.replace(certain, low=0.95)
    moved = dataclasses.replace(study, expectations=(moved,))
    planted.written(tmp_path, moved, lambda cell, result: None)
    again = Page(report.write(tmp_path, moved).path)
    before = "Expected when the study began, but not now: Sure, at least 0.5."
    assert f"{before} Expected now, but not when the study began: Sure" in again.text
    for cell in cells(study):
        planted.failed(tmp_path, cell, "It needs 9 GB")
    written = report.write(tmp_path, study)
    assert [found.holds for found in written.judged.findings] == [True]
    assert "have not ended" not in Page(written.path).text


def test_each_group_of_examples_has_its_scores(tmp_path):
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
    assert "By group of examples" in shown.text and "george" in shown.text
    (row,) = group_scores(plans.prepare(store.rows(tmp_path)))
    apart, scores = row.pop("range"), {n: row[n] for n in ("george", "lucas")}
    assert row["mixer"] == "conv" and apart == pytest.approx(0.3)
    assert scores == pytest.approx({"george": 0.55, "lucas": 0.85})


def test_expectations_that_were_never_recorded_are_not_predictions(tmp_path):
    study = planted.study(Expectation("Sure", lambda rows: 1.0), lengths=(32,))
    planted.written(tmp_path, study, lambda cell, result: None)
    found = store.read_study(tmp_path)
    del found["expected"]
    write_json(tmp_path / store.STUDY, found)
    shown = Page(report.write(tmp_path, study).path)
    assert "The expectations were not recorded" in shown.text


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
    assert "2 of 2 cells done" in shown.text and "Verdict" not in shown.text
    assert "1 diverged" in shown.text
    assert (shown.folder / "by_gap.csv").exists()
    assert not (shown.folder / "learning_rate.csv").exists()


def test_a_table_holds_no_formula(tmp_path):
    drawn = figures.Figure("f", "F", "c", None, [{"series": "=1+1", "x": -1.5}])

    saving.save(tmp_path, drawn._replace(drawing=Canvas()))
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
