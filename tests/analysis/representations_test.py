"""Ranks, likenesses and norms of representations that are known."""

import numpy as np
import pytest

from attn_research import analysis
from attn_research.analysis import representations
from tests.analysis.made import LENGTH, TWO, WIDTH, restored, with_zeros

DRAW = np.random.default_rng(0)


def test_the_effective_rank_is_the_number_of_directions_that_vary_alike():
    one_XD = np.linalg.qr(DRAW.normal(size=(64, 9)))[0]
    one_XD -= one_XD.mean(axis=0)
    one_XD = np.linalg.qr(one_XD)[0]
    assert analysis.effective_rank(one_XD) == pytest.approx(9)
    turn_DD = np.linalg.qr(DRAW.normal(size=(9, 9)))[0]
    assert analysis.effective_rank(one_XD[:, :3] @ turn_DD[:3] + 7) == pytest.approx(3)
    assert analysis.effective_rank(one_XD[:, :4] * 5 + 2) == pytest.approx(4)
    assert analysis.effective_rank(np.outer(one_XD[:, 0], DRAW.normal(size=5))) == (
        pytest.approx(1, abs=1e-6)
    )
    # Singular values 3 and 1: the entropy of 3/4 and 1/4.
    want = np.exp(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)))
    assert analysis.effective_rank(one_XD[:, :2] * [3, 1]) == pytest.approx(want)
    assert np.isnan(analysis.effective_rank(np.ones((5, 3))))


def test_likeness_is_blind_to_rotation_and_scale_and_sees_what_is_independent():
    x_XD = DRAW.normal(size=(500, 6))
    turn_DD = np.linalg.qr(DRAW.normal(size=(6, 6)))[0]
    assert analysis.cka(x_XD, x_XD) == pytest.approx(1)
    assert analysis.cka(x_XD, -3 * x_XD @ turn_DD + 5) == pytest.approx(1)
    # 6 x 6 squared correlations of about 1 / 500, over 6.
    assert analysis.cka(x_XD, DRAW.normal(size=(500, 6))) < 0.05
    both_XD = np.linalg.qr(x_XD - x_XD.mean(axis=0))[0]
    assert analysis.cka(both_XD[:, :2], both_XD[:, 1:3]) == pytest.approx(0.5)
    assert np.isnan(analysis.cka(x_XD, np.ones((500, 2))))


def test_the_stream_is_that_of_the_real_positions():
    """A layer that says nothing leaves the stream; padding is left out."""
    of = with_zeros(restored("conv,dense", layers=2), "mixers")
    x_NXD = analysis.streams(of, TWO)
    assert x_NXD.shape == (3, 2 * LENGTH, WIDTH)
    for x_XD in x_NXD[1:]:
        np.testing.assert_array_equal(x_XD, x_NXD[0])
    table_VD = of.params["trunk"]["frontend"]["table"]
    want_XD = np.sqrt(WIDTH) * table_VD[TWO.reshape(-1)]
    np.testing.assert_allclose(x_NXD[0], want_XD, rtol=1e-5)
    norm = np.linalg.norm(want_XD, axis=1).mean()
    assert representations.size(x_NXD[0]) == pytest.approx(norm, rel=1e-5)
    segments_BT = np.tile(np.arange(LENGTH) < 4, (2, 1)).astype(np.int32)
    real_NXD = analysis.streams(of, TWO, segments_BT)
    want_XD = want_XD.reshape(2, LENGTH, WIDTH)[:, :4].reshape(-1, WIDTH)
    np.testing.assert_allclose(real_NXD[0], want_XD, rtol=1e-5)
