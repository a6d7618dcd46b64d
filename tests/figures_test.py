"""How figures mark mixers and values."""

import pytest

from attn_research.analysis import statistics as stats
from attn_research.modules import MIXERS
from attn_research.report import drawings, figures, series
from attn_research.report.marks import MARKS, marks


def test_a_mixer_looks_the_same_everywhere_and_like_no_other():
    looks = marks([*MARKS, "conv,dense", "lstm,dense", "window(window=8)"])
    assert len(set(looks.values())) == len(looks)
    assert looks["window(window=8)"].color == looks["window"].color
    for name in MARKS:
        assert marks([name]) == {name: MARKS[name]}
        assert marks([f"layer 2 ({name})"]) == {f"layer 2 ({name})": MARKS[name]}
    layers = marks([f"layer {n} (dense)" for n in range(9)])
    assert {look.color for look in layers.values()} == {MARKS["dense"].color}
    assert len(set(layers.values())) == 9


def test_ticks_stand_at_the_values_and_never_on_top_of_each_other():
    assert figures.ticks([1e-3, 4e-3]) == [1e-3, 4e-3]
    assert figures.ticks([32, 64, 128]) == [32, 64, 128]
    crowded = figures.ticks([4096, 4100, 4200, 8192, 65536])
    assert crowded == [4096, 8192, 65536]
    assert figures.ticks([]) == [] and figures.ticks([5.0, 5.0]) == [5.0]
    assert [figures.short(v) for v in (0.001, 64, 4096, 16_384, 2.1e6)] == [
        "0.001",
        "64",
        "4096",
        "16.4k",
        "2.1M",
    ]


def test_no_two_mixers_of_a_figure_look_alike():
    labels = [*MIXERS, "gla(key_size=4)", "conv,dense"]
    looks = marks(labels)
    assert list(looks) == labels
    assert len({(look.color, look.dash) for look in looks.values()} - {None}) > 25
    assert len(set(looks.values())) == len(labels)


# --- panels of several tasks, and single points ---------------------------------------


TASKS = [
    {"task": "parity", "task.length": 32, "chance": 0.5},
    {"task": "parity", "task.length": 64, "chance": 0.5},
    {"task": "cycle", "task.length": 64, "task.places": 5, "chance": 0.2},
]


def test_an_option_is_an_axis_where_it_varies_within_one_task():
    """Other tasks have other options, and their name already tells them apart."""
    assert drawings.axes(TASKS) == ["task", "task.length"]
    assert drawings.axes(TASKS[1:]) == ["task"]


def test_each_panel_has_its_own_level_of_chance():
    assert series.chances(TASKS, lambda row: row["task"]) == {
        "parity": 0.5,
        "cycle": 0.2,
    }
    assert series.chances(TASKS, lambda row: "both") == {}
    drawn = figures.draw(
        "f",
        "F",
        "c",
        {name: {"gru": [(1.0, stats.bootstrap([0.9]))]} for name in ("a", "b", "c")},
        "lr",
        "accuracy",
        levels={"a": 0.5, "b": 0.2},
    )
    words = [axis.texts for axis in drawn.drawing.axes]
    assert [[t.xy[1] for t in told] for told in words[:3]] == [[0.5], [0.2], []]


def test_the_interval_of_a_single_point_is_drawn():
    point = [(1.0, stats.Interval(0.6, 0.5, 0.8))]
    drawn = figures.draw("f", "F", "c", {"": {"gru": point}}, "lr", "accuracy")
    bar, *others = drawn.drawing.axes[0].collections
    assert not others
    assert bar.get_segments()[0].tolist() == [[1.0, 0.5], [1.0, 0.8]]


@pytest.mark.parametrize("per_sequence", [False, True])
def test_where_the_answer_is_at_the_end_its_position_is_the_length(per_sequence):
    table = {"low": [0, 64], "high": [63, 127], "count": [4, 4], "accuracy": [0.9, 0.5]}
    row = {
        "cell": "a", "mixer": "gru", "metric": "accuracy", "goal": "max", "lr": 1e-3,
        "weight_decay": 0.0, "seed": 0, "status": "done", "task": "classification",
        "validation.accuracy": 0.7, "test.accuracy": 0.7, "by_position": table,
        "per_sequence": per_sequence,
    }  # fmt: skip
    plan = next(plan for plan in drawings.plans([row]) if plan.name == "by_position")
    wanted = ("position", "Quality by position")
    if per_sequence:
        wanted = ("last position", "Quality by length")
    assert (plan.x, plan.title) == wanted
