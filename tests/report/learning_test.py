"""Learning curves, the setup of a study, the Pareto front and the colours."""

import math

import pytest

from attn_research.config import Config, Population, to_dict
from attn_research.host import layout
from attn_research.host.journal import Journal
from attn_research.report import figures, learning
from attn_research.report.figures import Plan
from attn_research.report.formatting import Interval
from attn_research.report.setup import setup
from attn_research.report.styles import styles


def row(folder, member: int, lr: float, seed: int, validation: float, **more):
    return {
        "cell": folder.name,
        "directory": str(folder),
        "member": member,
        "mixer": folder.name,
        "task": "recall",
        "metric": "accuracy",
        "goal": "max",
        "status": "done",
        "lr": lr,
        "seed": seed,
        "weight_decay": 0.1,
        "validation.accuracy": validation,
        "test.accuracy": validation,
        "chance": 0.125,
        **more,
    }


def log(folder, values) -> None:
    """A log: (step, member, accuracy)."""
    folder.mkdir(parents=True, exist_ok=True)
    with Journal(folder / layout.METRICS, lambda record: True) as journal:
        for step, member, value in values:
            journal.append({"step": step, "member": member, "accuracy": value})


def points(rows, mixer="dense"):
    (plan,) = learning.plans(rows)
    return {step: value.mean for step, value in plan.panels[""][mixer]}


def test_a_curve_is_the_mean_over_the_seeds_of_the_best_rate(tmp_path):
    folder = tmp_path / "dense"
    good = [(10, 0, 0.2), (20, 0, 0.6), (10, 1, 0.4), (20, 1, 0.8)]
    log(folder, [*good, (10, 2, 0.9), (20, 2, 0.1), (10, 3, 0.9), (20, 3, 0.1)])
    rows = [row(folder, n, 1e-3, n, 0.7) for n in (0, 1)]
    rows += [row(folder, n, 1e-2, n - 2, 0.1) for n in (2, 3)]
    assert points(rows) == pytest.approx({10: 0.3, 20: 0.7})
    (plan,) = learning.plans(rows)
    assert plan.caption.endswith("mean over 2 seeds.") and plan.levels == {"": 0.125}


def test_a_member_that_was_solved_holds_its_last_value(tmp_path):
    folder = tmp_path / "dense"
    log(folder, [(10, 0, 1.0), (10, 1, 0.2), (20, 1, 0.4), (10, 2, 0.5)])
    solved = row(folder, 0, 1e-3, 0, 1.0, status="solved")
    diverged = row(folder, 2, 1e-3, 2, 0.9, status="diverged")
    rows = [solved, row(folder, 1, 1e-3, 1, 0.4), diverged]
    assert points(rows) == pytest.approx({10: 0.6, 20: 0.7})


def test_a_long_curve_is_thinned_and_a_damaged_log_left_out(tmp_path):
    folder, other = tmp_path / "dense", tmp_path / "conv"
    log(folder, [(step, 0, step / 5000) for step in range(1, 5001)])
    log(other, [(1, 0, 0.5), (2, 0, 0.5)])
    path = other / layout.METRICS
    path.write_text(path.read_text().replace("0.5", "0.6", 1))
    rows = [row(folder, 0, 1e-3, 0, 1.0), row(other, 0, 1e-3, 0, 0.5)]
    (plan,) = learning.plans(rows)
    assert list(plan.panels[""]) == ["dense"]
    steps = [step for step, _ in plan.panels[""]["dense"]]
    assert len(steps) <= learning.POINTS + 1 and steps[-1] == 5000
    assert "one seed, which has no interval" in plan.caption


def test_one_evaluation_is_no_curve(tmp_path):
    log(tmp_path / "dense", [(10, 0, 0.2)])
    assert learning.plans([row(tmp_path / "dense", 0, 1e-3, 0, 0.2)]) == []


def test_the_setup_says_what_is_shared_and_what_differs():
    described = {
        "base": to_dict(Config(task="recall(length=64)")),
        "axes": {"model.pattern": ["dense", "conv"], "model.width": [32]},
        "population": to_dict(Population(seed=(0, 1), lr=(1e-3,))),
        "commands": ["sweep one", "sweep two"],
    }
    empty = setup(described, [])
    assert empty.command == "sweep two"
    assert empty.axes == {"model.pattern": "dense, conv"}
    assert empty.members["seed"] == "0, 1"
    assert empty.brief["task"] == "recall(length=64)"
    assert "model.pattern" not in empty.shared and empty.shared["train.batch"] == 64
    shared = {"task": "recall", "task.length": 64, "train.steps": 10}
    rows = [{**shared, "model.width": width} for width in (32, 64)]
    assert setup(described, rows).shared == shared


@pytest.mark.parametrize(
    ("goal", "wanted"),
    [
        ("max", [(1, 0.2), (2, 0.9), (3, 0.9)]),
        ("min", [(1, 0.2), (3, 0.1), (3, 0.1)]),
    ],
)
def test_the_front_joins_what_is_best_for_its_cost(goal, wanted):
    values = {"a": (1.0, 0.2), "b": (2.0, 0.9), "c": (3.0, 0.1)}
    series = {
        name: [(at, Interval(value, math.nan, math.nan))]
        for name, (at, value) in values.items()
    }
    plan = Plan("cost", "Cost", "All.", {"": series}, "flops", "loss", front=goal)
    (axis,) = (a for a in figures.draw(plan).drawing.axes if a.axison)
    (front,) = (
        line for line in axis.get_lines() if line.get_drawstyle() == "steps-post"
    )
    assert list(zip(*front.get_data(), strict=True)) == wanted


def test_a_hybrid_has_the_colour_of_what_is_not_a_convolution():
    labels = ["dense", "conv,dense", "conv+lstm", "mamba2,dense", "layer 1 (window)"]
    looks = styles(labels)
    colors = [looks[label].color for label in labels]
    assert colors[0] == colors[1] and looks["dense"].dash != looks["conv,dense"].dash
    known = styles(["lstm", "window"])
    assert colors[2] == known["lstm"].color and colors[4] == known["window"].color
    assert len({*looks.values()}) == len(labels)
    assert looks["mamba2,dense"].marker != looks["dense"].marker
    assert len({colors[0], colors[2], colors[3]}) == 3
