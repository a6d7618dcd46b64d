"""Several runs in one figure, of planted results."""

import csv

import numpy as np

from attn_research.analysis.statistics import Interval
from attn_research.report.figures import Plan
from attn_research.report.inside.comparison import compare
from attn_research.report.inside.contract import Display, draw
from attn_research.report.matrices import Images
from attn_research.report.saving import save
from attn_research.report.styles import STYLES, styles


def point(x, y):
    return (float(x), Interval(y, y, y))


def lines(panels, **more):
    return Plan("f", "F", "Of f.", panels, "distance", "loss", **more)


def of(series, level=None, **summary):
    levels = {} if level is None else {"after": level}
    return [Display(lines({"after": series}, levels=levels), [summary])]


def test_each_series_is_a_panel_with_a_line_for_each_run(tmp_path):
    found = {
        "dense": of({"layer 0 (dense)": [point(1, 2)], "loss": [point(1, 3)]}, 0.5,
                    rate=1),
        "lstm": of({"layer 0 (lstm)": [point(1, 4)], "loss": [point(2, 5)]}, 0.5,
                   rate=2, note="n"),
    }  # fmt: skip
    (shown,) = compare(found)
    assert list(shown.plan.panels) == ["after: layer 0", "after: loss"]
    assert shown.plan.panels["after: layer 0"] == {
        "dense": [point(1, 2)],
        "lstm": [point(1, 4)],
    }
    assert shown.plan.levels == {"after: layer 0": 0.5, "after: loss": 0.5}
    assert shown.summary == [
        {"run": "dense", "rate": 1, "note": ""},
        {"run": "lstm", "rate": 2, "note": "n"},
    ]
    figure = draw(shown.plan)
    axis = figure.drawing.axes[0]
    looks = {line.get_label(): line.get_color() for line in axis.get_lines()}
    for run in ("dense", "lstm"):
        assert looks[run] == STYLES[run].color
    save(tmp_path, figure)
    with open(tmp_path / "f.csv") as file:
        rows = list(csv.DictReader(file))
    assert {row["run"] for row in rows} == {"dense", "lstm"} and len(rows) == 4


def test_a_series_alone_in_its_panel_needs_no_name_of_its_own():
    (shown,) = compare({"a": of({"dense": [point(1, 2)]}), "b": of({"gru": []})})
    assert list(shown.plan.panels) == ["after"]


def test_the_mixers_of_a_hybrid_follow_each_other_and_keep_apart_where_they_meet():
    hybrid = {"a mixer (conv)": [point(0, 1)], "a mixer (dense)": [point(1, 2)]}
    beside = {"a mixer (conv)": [point(0, 1)], "a mixer (dense)": [point(0, 2)]}
    (shown,) = compare({"one": of(hybrid), "two": of(beside)})
    assert shown.plan.panels["after: a mixer"] == {
        "one": [point(0, 1), point(1, 2)],
        "two": [point(0, 1)],
    }
    assert shown.plan.panels["after: a mixer (dense)"] == {"two": [point(0, 2)]}


def test_a_figure_that_one_run_has_alone_is_shown_with_it():
    plan = lines({"": {"x": [point(1, 1)]}})._replace(name="g", title="Layer 1 (gru)")
    both = [*of({"x": [point(1, 1)]}), Display(plan, [])]
    first, second = compare({"a": of({"x": [point(1, 1)]}), "b": both})
    assert (first.plan.name, second.plan.name) == ("f", "g")
    assert second.plan.title == "Layer 1" and list(second.plan.panels[""]) == ["b"]


def test_images_of_runs_stand_beside_each_other():
    def image(caption, size, labels):
        panels = {"head 0": np.eye(size)}
        return [Display(Images("m", "Layer 0 (dense)", caption, panels, labels), [])]

    (shown,) = compare({"a": image("A.", 2, ["x", "y"]), "b": image("B.", 3, None)})
    assert list(shown.plan.panels) == ["a: head 0", "b: head 0"]
    assert shown.plan.caption == "a: A. b: B." and shown.plan.labels is None
    figure = draw(shown.plan)
    assert len(figure.table) == 5 and "s2" in figure.table[-1]
    (same,) = compare(
        {"a": image("A.", 2, ["x", "y"]), "b": image("A.", 2, ["x", "y"])}
    )
    assert same.plan.caption == "A." and same.plan.labels == ["x", "y"]


def test_runs_of_one_mixer_have_its_colour_and_other_dashes():
    looks = styles(["dense (first)", "dense (second)", "conv,dense (third)"])
    first, second, hybrid = looks.values()
    assert first == STYLES["dense"] and second.color == first.color
    assert hybrid.color == first.color  # of what is not a convolution
    assert len({first.dash, second.dash, hybrid.dash}) == 3
