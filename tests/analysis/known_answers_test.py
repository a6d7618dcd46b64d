"""Planted numbers lie in their intervals about as often as the intervals say: 95 %.

Each law draws a sample 60 times from a known truth. An interval that is right holds it
in 85 to 100 % of them in all but one of 1,500 cases, and one that is half as wide as it
should be in about two thirds.
"""

import math

import numpy as np
import pytest

from attn_research.analysis import statistics as stats
from attn_research.analysis.statistics import Interval
from attn_research.options import BadInput

DRAWS = 60


def covered(intervals: list[Interval], truth: float) -> float:
    """How often an interval holds the truth; each has a width."""
    assert len(intervals) == DRAWS
    assert all(one.low < one.high for one in intervals)
    return sum(one.low <= truth <= one.high for one in intervals) / DRAWS


def nominal(intervals: list[Interval], truth: float) -> bool:
    return 0.85 <= covered(intervals, truth) <= 1.0


# --- the law of scaling --------------------------------------------------------------


TRUTH = {"E": 1.7, "A": 400.0, "B": 1000.0, "alpha": 0.34, "beta": 0.37}
SIZES = np.array([(n, d) for n in np.logspace(5, 9, 6) for d in np.logspace(6, 10, 6)])


def losses(noise: float = 0.0, seed: int = 0) -> np.ndarray:
    n_I, d_I = SIZES.T
    exact_I = TRUTH["E"] + TRUTH["A"] / n_I ** TRUTH["alpha"]
    exact_I += TRUTH["B"] / d_I ** TRUTH["beta"]
    rng = np.random.default_rng(seed)
    return exact_I * np.exp(noise * rng.standard_normal(len(exact_I)))


def test_the_law_of_scaling_of_exact_losses():
    law = stats.scaling_law(*SIZES.T, losses(), draws=2)
    for name, value in TRUTH.items():
        assert getattr(law, name).mean == pytest.approx(value, rel=1e-3), name
    assert law(1e7, 1e8) == pytest.approx(
        1.7 + 400 / 1e7**0.34 + 1000 / 1e8**0.37, rel=1e-4
    )


def test_the_law_of_scaling_is_recovered_as_often_as_it_says():
    found = [
        stats.scaling_law(*SIZES.T, losses(0.01, seed), draws=40)
        for seed in range(DRAWS)
    ]
    for name, value in TRUTH.items():
        assert nominal([getattr(law, name) for law in found], value), name
    assert np.mean([law.alpha.high - law.alpha.low for law in found]) < 0.1


def test_a_run_gone_wrong_does_not_move_the_law_of_scaling():
    """Squares would follow it; the Huber loss hardly does."""
    spoilt = losses(0.001)
    spoilt[17] *= 2
    law = stats.scaling_law(*SIZES.T, spoilt, draws=2)
    assert law.E.mean == pytest.approx(TRUTH["E"], rel=0.02)
    assert law.alpha.mean == pytest.approx(TRUTH["alpha"], rel=0.02)


def test_too_few_runs_have_no_law():
    with pytest.raises(BadInput, match="5 runs are given; .* must be 6 or more"):
        stats.scaling_law([1.0] * 5, [1.0] * 5, [1.0] * 5)


# --- where two costs cross -----------------------------------------------------------


LENGTHS = 2.0 ** np.arange(8, 15)


def costs(seed: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Of a quadratic and a linear mixer that cost the same at a length of 1,000."""
    rng = np.random.default_rng(seed)
    return tuple(
        LENGTHS**power
        * 1e3 ** (2 - power)
        * np.exp(noise * rng.standard_normal(len(LENGTHS)))
        for power in (2.0, 1.0)
    )


def test_a_crossing_is_recovered_as_often_as_it_says():
    found = []
    for seed in range(DRAWS):
        slow, fast = costs(seed, 0.2)
        found.append(stats.crossing(LENGTHS, slow, LENGTHS, fast))
    assert nominal(found, 1000.0)
    assert all(one.low > 300 and one.high < 3000 for one in found)


def test_an_exact_crossing_whichever_is_named_first():
    slow, fast = costs(0, 0.0)
    for pair in ((slow, fast), (fast, slow)):
        found = stats.crossing(LENGTHS, pair[0], LENGTHS, pair[1])
        assert found == pytest.approx((1000, 1000, 1000), rel=1e-6)


def test_laws_with_one_exponent_cross_nowhere_in_particular():
    rng = np.random.default_rng(0)
    one, other = (LENGTHS * np.exp(0.1 * rng.standard_normal(7)) for _ in range(2))
    found = stats.crossing(LENGTHS, one, LENGTHS, other)
    assert (found.low, found.high) == (0.0, math.inf)
    assert math.isnan(stats.crossing([1.0], [1.0], LENGTHS, one).mean)
    two = stats.crossing([1.0, 2.0], [1.0, 4.0], [1.0, 2.0], [2.0, 4.0])
    assert two.mean == pytest.approx(2.0) and math.isnan(two.low)


# --- lengths and steps ---------------------------------------------------------------


def test_a_break_is_recovered_as_often_as_it_says():
    """Quality falls by 0.1 a doubling: by 0.35 after the fourth and before the next."""
    doublings_T = np.arange(10.0)
    found, wide = [], 0
    for seed in range(DRAWS):
        rng = np.random.default_rng(seed)
        noise_PT = 0.05 * rng.standard_normal((12, 10))
        quality_PT = 1 - 0.1 * doublings_T + noise_PT
        one = stats.break_point(2**doublings_T, quality_PT, 0.35)
        found.append(one)
        wide += one.low < one.high
    held = sum(one.low <= 2.0**3 <= one.high for one in found)
    assert 0.85 <= held / DRAWS and wide > DRAWS / 4
    assert all(one.high <= 2.0**5 for one in found)


def test_a_curve_that_falls_and_one_that_never_does():
    lengths_T = [32.0, 64.0, 128.0, 256.0]
    falls_PT = np.tile([0.9, 0.88, 0.5, 0.9], (3, 1))
    found = stats.break_point(lengths_T, falls_PT, 0.05)
    assert found == Interval(64, 64, 64), "what comes back later does not count"
    assert stats.break_point(lengths_T, falls_PT, 0.5).mean == 256
    assert stats.break_point(lengths_T, -falls_PT, 0.05, "min").mean == 64
    assert math.isnan(stats.break_point([], np.zeros((0, 0)), 0.1).mean)
    alone = stats.break_point(lengths_T, falls_PT[:1], 0.05)
    assert alone.mean == 64 and math.isnan(alone.low) and math.isnan(alone.high)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_break_of_a_few_seeds_is_in_its_interval(count):
    held = 0
    for seed in range(200):
        noise_PT = 0.05 * np.random.default_rng(seed).standard_normal((count, 10))
        quality_PT = 1 - 0.1 * np.arange(10.0) + noise_PT
        one = stats.break_point(2 ** np.arange(10.0), quality_PT, 0.35)
        held += one.low <= 2.0**3 <= one.high
    assert held / 200 >= 0.95


def test_the_median_of_steps_is_recovered_as_often_as_it_says():
    """Exponential times, cut off where two thirds have come to an end."""
    truth, end = math.log(2), math.log(3)
    found = []
    for seed in range(DRAWS):
        time_P = np.random.default_rng(seed).exponential(size=40)
        found.append(stats.survival_median(np.minimum(time_P, end), time_P < end))
    assert nominal(found, truth)
    assert abs(np.mean([one.mean for one in found]) - truth) < 0.1


@pytest.mark.parametrize("count, sure", [(3, False), (5, False), (6, True), (12, True)])
def test_a_median_of_few_is_bounded_only_where_it_can_be(count, sure):
    held, wide = 0, 0
    for seed in range(400):
        time_P = np.random.default_rng(seed).exponential(size=count)
        one = stats.survival_median(time_P, np.ones(count, bool))
        held += one.low <= math.log(2) <= one.high
        wide += math.isinf(one.high) and one.low == 0
        order = np.sort(time_P)
        assert one.mean == order[(count - 1) // 2]
        if count == 6:  # from the binomial distribution: the least and the largest
            assert (one.low, one.high) == (order[0], order[-1])
    assert held / 400 >= 0.94 and wide == (0 if sure else 400)


def member(step, solved=True, status="solved"):
    found = step if solved else None
    return {"step": step, "solved_step": found, "status": status, "train.steps": 900}


def test_steps_to_a_solution_count_members_without_one():
    rows = [member(100), member(200), member(300), member(900, False, "done")]
    found = stats.steps_to_solution(rows)
    assert (found.median.mean, found.solved, found.members) == (200, 3, 4)
    assert found.median.low == 0 and math.isinf(found.median.high)
    # Diverged at step 10: not solved until 900, which is not the same as left at 10.
    lost = [*rows[:2], member(10, False, "diverged"), member(900, False, "done")]
    assert stats.steps_to_solution(lost).median.mean == 200
    assert math.isinf(stats.steps_to_solution(lost[1:]).median.mean)
    assert math.isnan(stats.steps_to_solution([]).median.mean)


# --- seeds ---------------------------------------------------------------------------


def test_a_paired_difference_is_recovered_and_narrower_than_an_unpaired_one():
    found, apart = [], []
    for draw in range(DRAWS):
        rng = np.random.default_rng(draw)
        luck_P, noise_2P = rng.normal(0, 1, 15), rng.normal(0, 0.2, (2, 15))
        first, second = (dict(enumerate(luck_P + some)) for some in noise_2P)
        better = {seed: value + 0.3 for seed, value in first.items()}
        found.append(stats.paired(better, second))
        apart.append(stats.mean_interval(list(better.values())))
    assert nominal(found, 0.3)
    assert np.mean([i.high - i.low for i in found]) < 0.4 * np.mean(
        [i.high - i.low for i in apart]
    )


def test_only_seeds_that_both_have_are_paired():
    assert stats.paired(
        {0: 1.0, 1: 5.0, 3: 2.0}, {0: 0.5, 2: 9.0, 3: 1.0}
    ) == stats.mean_interval([0.5, 1.0])
    assert math.isnan(stats.paired({0: 1.0}, {1: 1.0}).mean)


def seeds(*values: float) -> dict[int, float]:
    return dict(enumerate(values))


def test_an_order_holds_as_often_as_it_says():
    """Two seeds that agree are no certainty: a quarter of equal pairs does so too."""
    assert stats.order_holds(seeds(1.0, 1.1), seeds(0.0, 0.1)) == pytest.approx(1.0)
    assert stats.order_holds(seeds(1.0, 1.0), seeds(1.0, 1.0)) == 0.5
    assert math.isnan(stats.order_holds(seeds(1.0), seeds(0.0, 0.1)))
    for count in (2, 3, 5):
        rng = np.random.default_rng(count)
        held = [
            stats.order_holds(seeds(*rng.normal(size=count)), seeds(*[0.0] * count))
            for _ in range(1000)
        ]
        # Of equal mixers, a confidence above 0.975 is said in 5 of 100 studies.
        assert np.mean(np.array(held) > 0.975) == pytest.approx(0.05, abs=0.02), count


def test_the_order_of_a_lead_is_as_sure_as_its_interval():
    """At 97.5 % the interval of the lead of symmetric values ends at zero."""
    from scipy.special import stdtrit

    apart = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
    lead = stdtrit(4, 0.975) * apart.std(ddof=1) / math.sqrt(5)
    first, second = seeds(*(apart + lead)), seeds(*[0.0] * 5)
    assert stats.order_holds(first, second) == pytest.approx(0.975)
    assert stats.paired(first, second).low == pytest.approx(0.0, abs=1e-12)


def test_the_front_is_what_nothing_beats():
    cost, quality = [1.0, 2.0, 3.0, 3.0, 4.0], [0.5, 0.4, 0.9, 0.8, 0.9]
    assert stats.pareto(cost, quality) == [True, False, True, False, False]
    assert stats.pareto(cost, quality, "min") == [True, True, False, False, False]
    assert stats.pareto([1.0, 1.0], [0.5, 0.5]) == [True, True], "equals stay"
    assert stats.pareto([1.0, math.nan], [math.nan, 1.0]) == [False, False]


def trial(lr, seed, value, mixer="dense", **more):
    return {
        "lr": lr, "seed": seed, "weight_decay": 0.1, "status": "done", "chance": 0.1,
        "metric": "accuracy", "goal": "max", "mixer": mixer,
        "validation.accuracy": value, "test.accuracy": value, **more,
    }  # fmt: skip


def test_a_mixer_that_diverges_at_half_of_its_rates_is_not_robust():
    rows = [trial(lr, seed, 0.9) for lr in (1e-3, 1e-2, 1e-1) for seed in (0, 1)]
    assert stats.robustness(rows) == pytest.approx((0.9, 0.9, 0.9))
    rows[-1] |= {"status": "diverged"}
    found = stats.robustness(rows)
    # The last of two intervals falls to chance for one of the two seeds.
    assert found == pytest.approx(stats.mean_interval([0.7, 0.9]))
    rows[-1]["chance"] = None
    assert stats.robustness(rows).mean == pytest.approx(0.9)


def test_the_lead_of_a_mixer_is_at_its_best_rate_and_at_equal_seeds():
    rows = [trial(1e-3, seed, 0.5 + 0.1 * seed) for seed in (0, 1, 2)]
    rows += [trial(1e-2, seed, 0.4) for seed in (0, 1, 2)]
    rows += [trial(1e-2, seed, 0.2 + 0.1 * seed, "lstm") for seed in (0, 1)]
    assert stats.lead(rows, "dense", "lstm") == pytest.approx((0.3, 0.3, 0.3))
    assert math.isnan(stats.lead(rows, "dense", "conv").mean)
