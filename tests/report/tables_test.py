"""The small tables under figures, of curves whose answers are known."""

import pytest

from attn_research.report.figures import Figure
from attn_research.report.tables import tables


def figure(name, x, y, series) -> Figure:
    """A figure with these points, of one panel, and no drawing."""
    points = [
        {"panel": "", "series": label, x: at, y: value, "low": value, "high": value}
        for label, curve in series.items()
        for at, value in curve.items()
    ]
    return Figure(name, "F", "c", None, points)


def costs(**laws) -> Figure:
    """The time of mixers at some lengths, a little off their laws by turns."""
    lengths = [256.0 * 2**n for n in range(6)]
    off = [1.02, 0.98, 1.01, 0.99, 1.02, 0.98]
    return figure(
        "length_step_seconds",
        "task.length",
        "step_seconds",
        {
            label: {x: law(x) * e for x, e in zip(lengths, off, strict=True)}
            for label, law in laws.items()
        },
    )


def test_exponents_and_the_length_at_which_one_mixer_overtakes_another():
    drawn = costs(dense=lambda x: 1e-6 * x**2, linear=lambda x: 1e-3 * x)
    exponents, crossings = tables(drawn, [])
    assert [line["mixer"] for line in exponents] == ["dense", "linear"]
    assert [line["exponent"] for line in exponents] == pytest.approx([2, 1], abs=0.02)
    (line,) = crossings
    assert (line["cheaper"], line["than"], line["crossing"]) == (
        "linear",
        "dense",
        "measured",
    )
    assert line["from a length of"] == pytest.approx(1000, rel=0.02)
    assert " to " in line["95 %"]


def test_a_crossing_beyond_the_lengths_is_extrapolated():
    drawn = costs(linear=lambda x: 4e-2 * x, dense=lambda x: 1e-6 * x**2)
    (line,) = tables(drawn, [])[1]
    assert (line["cheaper"], line["than"]) == ("linear", "dense")
    assert line["crossing"] == "extrapolated"
    assert line["from a length of"] == pytest.approx(40_000, rel=0.05)


@pytest.mark.parametrize(
    "law", [lambda x: 2e-6 * x**2, lambda x: 1e-16 * x], ids=["alike", "far off"]
)
def test_mixers_that_grow_alike_or_cross_far_off_have_no_crossing(law):
    drawn = costs(dense=lambda x: 1e-6 * x**2, other=law)
    assert len(tables(drawn, [])) == 1, "only exponents"


def test_the_points_that_no_other_beats_are_pareto_optimal():
    drawn = figure(
        "cost_state_bytes",
        "state_bytes",
        "accuracy",
        {"dense": {400.0: 1.0}, "linear": {100.0: 0.6}, "lstm": {200.0: 0.5}},
    )
    (lines,) = tables(drawn, [{"goal": "max"}])
    assert [line["Pareto-optimal"] for line in lines] == ["linear", "dense"]
    assert lines[0]["state_bytes"] == 100.0
    alone = figure("cost_flops", "flops", "accuracy", {"dense": {4.0: 1.0}})
    assert tables(alone, [{"goal": "max"}]) == []
