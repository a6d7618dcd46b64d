"""Receptive fields that are known, and the support of real gradients."""

import jax
import numpy as np
import pytest

from attn_research import analysis
from attn_research.analysis import receptive_field as field
from attn_research.training.program import INIT
from tests.analysis.made import LENGTH, TOKENS, restored


@pytest.mark.parametrize(
    ("pattern", "more", "reach_N"),
    [
        ("conv(width=3)", {"layers": 2}, [2, 4]),
        ("window(window=2)+conv(width=3)", {}, [3]),
        ("window(window=2)+conv(width=3)", {"residual": "parallel"}, [2]),
        ("window(window=2)|conv(width=3)", {}, [2]),
        ("sparse_transformer(window=1,stride=3)", {}, [6]),
        ("bigbird(window=1,globals=1,random=0)", {"causal": False}, [8]),
    ],
)
def test_gradients_are_where_the_theory_lets_them_be_and_nowhere_else(
    pattern, more, reach_N
):
    of = restored(pattern, **more)
    seen_NTS = analysis.reachable(of, LENGTH)
    np.testing.assert_array_equal(analysis.furthest(seen_NTS), reach_N)
    (energy_TS,) = analysis.output_energy(of, TOKENS)
    np.testing.assert_array_equal(energy_TS > 0, seen_NTS[-1])


def test_dense_attention_reaches_everything_before_it():
    seen_NTS = analysis.reachable(restored("conv(width=3),dense", layers=2), LENGTH)
    np.testing.assert_array_equal(seen_NTS[1], np.tri(LENGTH, dtype=bool))
    both_NTS = analysis.reachable(restored("lstm", causal=False), LENGTH)
    assert both_NTS.all()


def test_shares_and_radii_of_known_energies():
    energy_BK = np.array([[1.0, 0, 0, 1, np.nan], [0, 0, 8, 1, 1]])
    share_BK = field.shares(energy_BK)
    np.testing.assert_allclose(share_BK[0], [0.5, 0.5, 0.5, 1, 1])
    np.testing.assert_array_equal(analysis.radius(energy_BK, 0.5), [0, 2])
    np.testing.assert_array_equal(analysis.radius(energy_BK, 0.9), [3, 3])
    np.testing.assert_allclose(analysis.spread(energy_BK), [4.5**0.5, 5.7**0.5])
    assert np.isnan(field.shares(np.zeros((1, 3)))).all()
    assert np.isnan(analysis.spread(np.zeros((1, 3)))).all()


def test_an_untrained_model_is_what_its_seed_draws():
    of = restored("conv")._replace(hypers={"seed": 3}, step=9)
    before = analysis.untrained(of)
    want = jax.jit(of.model.init)(jax.random.fold_in(jax.random.key(3), INIT))
    jax.tree.map(
        lambda one, two: np.testing.assert_allclose(one, two, rtol=1e-6, atol=1e-7),
        before.params,
        want,
    )
    assert before.step == 0 and of.step == 9
