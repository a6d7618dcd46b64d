"""Intervals, choices, areas and exponents whose answers are known."""

import math

import numpy as np
import pytest

from attn_research.analysis import statistics as stats
from attn_research.analysis.statistics import Interval
from attn_research.studies.judging import findings
from attn_research.studies.study import Expectation, Study


def row(lr=1e-3, seed=0, validation=0.5, test=0.5, status="done", decay=0.1, **more):
    return {
        "lr": lr,
        "weight_decay": decay,
        "seed": seed,
        "status": status,
        "metric": "accuracy",
        "goal": "max",
        "validation.accuracy": validation,
        "test.accuracy": test,
        **more,
    }


# name: (drawing of n values, their true mean)
DRAWN = {
    "normal": (lambda rng, shape: rng.normal(3.0, 1.0, shape), 3.0),
    "skewed": (lambda rng, shape: rng.gamma(4.0, size=shape), 4.0),
    "skewed to the left": (lambda rng, shape: -rng.gamma(4.0, size=shape), -4.0),
    "bounded": (lambda rng, shape: rng.uniform(size=shape), 0.5),
    "bounded and skewed": (lambda rng, shape: rng.beta(8, 2, shape), 0.8),
}


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("count", [2, 3, 5, 8, 20])
def test_an_interval_holds_the_mean_as_often_as_it_says(name, count):
    """93 to 97 of 100 from five values on, at least 90 of two and three."""
    draw, true = DRAWN[name]
    samples = draw(np.random.default_rng(0), (4000, count))
    held = 0
    for sample in samples:
        mean, low, high = stats.mean_interval(list(sample))
        assert low <= mean <= high
        held += low <= true <= high
    share = held / len(samples)
    assert share >= 0.90 if count < 5 else 0.93 <= share <= 0.97


def test_the_percentiles_of_resamples_would_not_hold_it():
    """What the test above must reject: the percentile bootstrap at three values."""
    rng, held = np.random.default_rng(0), 0
    for sample in rng.normal(size=(1000, 3)):
        means = sample[rng.integers(0, 3, (400, 3))].mean(axis=1)
        low, high = np.percentile(means, [2.5, 97.5])
        held += low <= 0 <= high
    assert held / 1000 < 0.85


def test_one_value_has_no_interval_and_decides_nothing():
    mean, low, high = stats.mean_interval([0.7])
    assert mean == 0.7 and math.isnan(low) and math.isnan(high)
    study = Study("n", "q", "c", expectations=(
        Expectation("It is high.", lambda rows: stats.mean_interval([0.7]), low=0.5),
    ))  # fmt: skip
    (finding,) = findings(study, [])
    assert finding.value == 0.7 and finding.holds is None


def test_an_interval_is_the_same_every_time_and_shrinks_with_the_sample():
    values = list(np.random.default_rng(1).normal(size=200))
    assert stats.mean_interval(values) == stats.mean_interval(values)
    few, many = stats.mean_interval(values[:10]), stats.mean_interval(values)
    assert many.high - many.low < (few.high - few.low) / 2
    spread = 2 * 1.96 * np.std(values) / math.sqrt(200)
    assert many.high - many.low == pytest.approx(spread, rel=0.1)


def test_what_is_not_finite_is_left_out_of_an_interval():
    known = stats.mean_interval([2.0, 4.0, math.nan, math.inf])
    assert known == stats.mean_interval([2.0, 4.0])
    assert stats.mean_interval([2.0, 2.0]) == Interval(2.0, 2.0, 2.0)
    assert all(math.isnan(part) for part in stats.mean_interval([math.nan]))
    assert all(math.isnan(part) for part in stats.mean_interval([]))


def test_the_rate_is_chosen_in_validation_and_never_in_the_test():
    rows = [row(1e-3, 0, 0.9, 0.1), row(1e-3, 1, 0.9, 0.2)]
    rows += [row(1e-2, 0, 0.8, 1.0), row(1e-2, 1, 0.8, 1.0)]
    assert {r["lr"] for r in stats.at_best_rate(rows)} == {1e-3}

    class Sealed(dict):
        """A row that says so when its test split is looked at."""

        def __getitem__(self, name):
            assert not name.startswith("test.")
            return super().__getitem__(name)

        def get(self, name, default=None):
            assert not name.startswith("test.")
            return super().get(name, default)

    assert len(stats.at_best_rate([Sealed(r) for r in rows])) == 2


def test_a_rate_with_a_diverged_seed_loses():
    rows = [row(1e-3, 0, 0.6), row(1e-3, 1, 0.6)]
    rows += [row(1e-2, 0, 1.0), row(1e-2, 1, math.nan, status="diverged")]
    assert {r["lr"] for r in stats.at_best_rate(rows)} == {1e-3}
    assert stats.at_best_rate([]) == []
    alone = [row(1.0, validation=math.nan, status="diverged")]
    assert stats.at_best_rate(alone) == alone
    assert stats.trained(alone) == []


def test_a_small_loss_is_a_good_one_and_weight_decay_is_chosen_too():
    rows = [
        row(1e-3, decay=decay, validation=value, goal="min")
        for decay, value in ((0.0, 0.3), (0.1, 0.1), (0.2, 0.2))
    ]
    (best,) = stats.at_best_rate(rows)
    assert best["weight_decay"] == 0.1


def test_the_best_and_the_worst_mixer_are_chosen_in_validation():
    rows = [
        row(mixer=mixer, seed=seed, validation=validation, test=test + seed)
        for mixer, validation, test in (
            ("a", 9, 5),
            ("b", 8, 7),
            ("c", 7, 6),
        )
        for seed in (0, 1)
    ]
    assert (
        stats.reached(rows) == stats.reached(rows, "a") == stats.mean_interval([5, 6])
    )
    assert stats.reached(rows, "c").mean == 6.5
    assert stats.worst(rows) == stats.reached(rows, "c")
    small = [{**one, "goal": "min"} for one in rows]
    assert stats.reached(small) == stats.reached(rows, "c")
    assert stats.worst(small) == stats.reached(rows, "a")
    assert stats.best_row(rows)["mixer"] == "a"
    assert stats.best_row(small)["mixer"] == "c"
    assert stats.best_row([]) == {}
    lost = [{**one, "status": "diverged"} for one in rows if one["mixer"] == "b"]
    rest = [one for one in rows if one["mixer"] != "b"]
    assert math.isnan(stats.worst(rest + lost).mean)
    assert stats.reached(rest + lost).mean == 5.5
    assert math.isnan(stats.reached([]).mean)


def test_the_curve_over_rates_is_of_the_test_and_rises_with_the_rate():
    rows = [
        row(lr, seed, 0.5, 100 * lr + seed) for lr in (1e-2, 1e-3) for seed in (0, 1)
    ]
    curve = stats.rate_curve(rows)
    assert list(curve) == [1e-3, 1e-2]
    assert [value.mean for value in curve.values()] == pytest.approx([0.6, 1.5])


def point(height: float) -> Interval:
    return Interval(height, height, height)


def test_the_area_of_known_curves():
    flat = {rate: point(0.7) for rate in (1e-4, 1e-3, 1e-2)}
    assert stats.area(flat) == pytest.approx(0.7)
    rising = {1e-4: point(0.0), 1e-3: point(0.5), 1e-2: point(1.0)}
    assert stats.area(rising) == pytest.approx(0.5)
    uneven = {1e-4: point(0.0), 1e-2: point(1.0), 1e-1: point(1.0)}
    assert stats.area(uneven) == pytest.approx(2 / 3)
    assert math.isnan(stats.area({1e-3: point(1.0), 1e-2: point(math.nan)}))


def test_seeds_meet_in_their_bins():
    tables = [
        {"low": [0, 1, 2], "high": [0, 1, 3], "accuracy": [1.0, 0.5, 0.0]},
        {"low": [1, 2], "high": [1, 3], "accuracy": [0.7, 0.2]},
    ]
    found = stats.by_distance([{"by_gap": t} for t in tables], "by_gap", "accuracy")
    assert [at for at, _ in found] == pytest.approx([0.5, 1.0, math.sqrt(6)])
    assert [value.mean for _, value in found] == pytest.approx([1.0, 0.6, 0.1])
    assert stats.by_distance([{"by_gap": None}], "by_gap", "accuracy") == []


def test_only_bins_as_a_whole_lie_inside():
    table = {"low": [0, 1, 2, 4], "high": [0, 1, 3, 7], "count": [8, 1, 3, 4]}
    row = {"by_gap": {**table, "accuracy": [0.1, 1.0, 0.2, 0.7]}}

    def inside(low, high):
        return stats.inside(row, "by_gap", "accuracy", low, high)

    assert inside(1, 3) == pytest.approx((1.0 + 3 * 0.2) / 4)
    assert inside(1, 6) == inside(1, 3) and inside(3, math.inf) == pytest.approx(0.7)
    assert math.isnan(inside(5, 6)) and math.isnan(inside(8, math.inf))
    assert math.isnan(stats.inside({"by_gap": None}, "by_gap", "accuracy", 0, 1))


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_exponents_of_power_laws(power):
    x = [2.0**n for n in range(5, 12)]
    found = stats.exponent(x, [3 * value**power for value in x])
    assert found == pytest.approx((power, power, power), abs=1e-9)


def test_the_interval_of_an_exponent_holds_the_truth():
    rng, x = np.random.default_rng(2), 2.0 ** np.arange(8)
    held = 0
    for _ in range(200):
        y = x**1.5 * np.exp(rng.normal(0, 0.2, x.size))
        _, low, high = stats.exponent(list(x), list(y))
        held += low <= 1.5 <= high
    assert 0.9 <= held / 200 <= 0.99


def test_too_few_points_have_no_exponent_or_no_interval():
    assert math.isnan(stats.exponent([1.0], [1.0]).mean)
    two = stats.exponent([1.0, 10.0], [1.0, 100.0])
    assert two.mean == pytest.approx(2.0) and math.isnan(two.low)


@pytest.mark.parametrize(
    ("lengths", "low", "high"),
    [((2048, 4096, 8192), 0.0, 2048.0), ((128, 256, 512), 512.0, math.inf)],
)
def test_a_crossing_outside_the_lengths_is_bounded_by_them(lengths, low, high):
    laws = {"dense": (1e-6, 2.0), "linear": (1e-3, 1.0)}  # equal at 1,000
    rows = [
        {"mixer": m, "task.length": str(length), "step_seconds": a * length**power}
        for m, (a, power) in laws.items()
        for length in lengths
    ]
    found = stats.overtaken(rows, "dense", "linear", "step_seconds")
    assert math.isnan(found.mean) and (found.low, found.high) == (low, high)


def test_costs_grow_and_cross_as_they_were_made():
    laws = {"dense": (1e-6, 2.0), "linear": (1e-3, 1.0)}  # equal at 1,000
    rows = [
        {"mixer": m, "task.length": str(length), "step_seconds": a * length**power}
        for m, (a, power) in laws.items()
        for length in (256, 1024, 4096)
    ]
    rows.append({"mixer": "dense", "task.length": "8192", "step_seconds": None})
    assert stats.growth(rows, "dense", "step_seconds").mean == pytest.approx(2)
    assert stats.growth(rows, "linear", "step_seconds").mean == pytest.approx(1)
    found = stats.overtaken(rows, "dense", "linear", "step_seconds")
    assert found.mean == pytest.approx(1000)
