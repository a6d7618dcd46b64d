"""How figures mark mixers and values."""

import pytest

from attn_research.analysis import statistics as stats
from attn_research.analysis.statistics import Interval
from attn_research.modules import MIXERS
from attn_research.report import axes, figures, plans, series
from attn_research.report.figures import Plan
from attn_research.report.styles import STYLES, styles


def test_a_mixer_looks_the_same_everywhere_and_like_no_other():
    looks = styles([*STYLES, "conv,dense", "lstm,dense", "window(window=8)"])
    assert len(set(looks.values())) == len(looks)
    assert looks["window(window=8)"].color == looks["window"].color
    for name in STYLES:
        assert styles([name]) == {name: STYLES[name]}
        assert styles([f"layer 2 ({name})"]) == {f"layer 2 ({name})": STYLES[name]}
    layers = styles([f"layer {n} (dense)" for n in range(9)])
    assert {look.color for look in layers.values()} == {STYLES["dense"].color}
    assert len(set(layers.values())) == 9


def test_ticks_stand_at_the_values_and_never_on_top_of_each_other():
    assert axes.ticks([1e-3, 4e-3]) == [1e-3, 4e-3]
    assert axes.ticks([32, 64, 128]) == [32, 64, 128]
    crowded = axes.ticks([4096, 4100, 4200, 8192, 65536])
    assert crowded == [4096, 8192, 65536]
    assert axes.ticks([]) == [] and axes.ticks([5.0, 5.0]) == [5.0]
    assert [axes.short(v) for v in (0.001, 64, 4096, 16_384, 2.1e6)] == [
        "0.001",
        "64",
        "4096",
        "16.4k",
        "2.1M",
    ]


def test_no_two_mixers_of_a_figure_look_alike():
    labels = [*MIXERS, "gla(key_size=4)", "conv,dense"]
    looks = styles(labels)
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
    assert plans.axes(TASKS) == ["task", "task.length"]
    assert plans.axes(TASKS[1:]) == ["task"]


def test_each_panel_has_its_own_level_of_chance():
    assert series.chances(TASKS, lambda row: row["task"]) == {
        "parity": 0.5,
        "cycle": 0.2,
    }
    assert series.chances(TASKS, lambda row: "both") == {}
    point = [(1.0, stats.mean_interval([0.9]))]
    panels = {name: {"gru": point} for name in ("a", "b", "c")}
    levels = {"a": 0.5, "b": 0.2}
    plan = figures.Plan("f", "F", "c", panels, "lr", "accuracy", levels=levels)
    drawn = figures.draw(plan)
    words = [axis.texts for axis in drawn.drawing.axes]
    assert [[t.xy[1] for t in told] for told in words[:3]] == [[0.5], [0.2], []]


def test_the_interval_of_a_single_point_is_drawn():
    point = [(1.0, stats.Interval(0.6, 0.5, 0.8))]
    plan = figures.Plan("f", "F", "c", {"": {"gru": point}}, "lr", "accuracy")
    drawn = figures.draw(plan)
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
    plan = next(plan for plan in plans.of_rows([row]) if plan.name == "by_position")
    wanted = ("position", "Quality by position")
    if per_sequence:
        wanted = ("last position", "Quality by length")
    assert (plan.x, plan.title) == wanted


def test_single_points_of_one_mixer_differ_in_their_markers():
    """A point has no dash: several gates of one layer, say, or costs of one mixer."""
    looks = styles([f"gate {n} (lstm)" for n in range(4)])
    assert len({look.marker for look in looks.values()}) == 4
    assert {look.color for look in looks.values()} == {STYLES["lstm"].color}


def test_categories_are_points_side_by_side_and_no_lines():
    """Head 2 does not lie on the way from head 1 to head 3."""
    value = Interval(0.5, 0.4, 0.6)
    series = {
        "zero ablation": [(0.0, value), (1.0, value)],
        "mean ablation": [(0.0, value)],
    }
    plan = Plan(
        "heads", "Heads", "Each.", {"": series}, "head", "loss", log_x=False,
        levels={"": 0.7}, level="the whole fact", joined=False,
    )  # fmt: skip
    (axis,) = figures.draw(plan).drawing.axes
    zero, mean, level = axis.get_lines()
    assert {zero.get_linestyle(), mean.get_linestyle()} == {"None"}
    assert zero.get_xdata()[0] < 0.0 < mean.get_xdata()[0]
    assert zero.get_xdata()[1] == 1.0  # alone there
    assert list(level.get_ydata()) == [0.7, 0.7]
    assert [text.get_text() for text in axis.texts] == ["the whole fact"]
    assert [tick.get_text() for tick in axis.get_xticklabels()] == ["0", "1"]
    joined = figures.draw(plan._replace(joined=True)).drawing.axes[0]
    assert joined.get_lines()[0].get_linestyle() == "-"
