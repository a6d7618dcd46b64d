"""Heads that point to a place by what is known of their weights."""

import numpy as np
import pytest

from attn_research import analysis
from attn_research.analysis import mixing
from attn_research.analysis.layers import open_model
from attn_research.options import BadInput
from tests.analysis.made import LENGTH, TWO, copier, restored

TIME_T = np.arange(LENGTH)
LAG = 3


def flags(*places) -> np.ndarray:
    """flags_BT, for each sequence those of its places."""
    return np.stack([np.isin(TIME_T, own) for own in places])


def test_a_head_that_looks_back_points_to_what_is_there():
    """All of the weight of one reader, half of that of two, none of what is nearer."""
    of = copier(LAG, "dense")
    for read, want in (([5, 2], [1, 0.5]), ([6, 6], [0, 0])):
        (head,) = analysis.head_pointing(of, TWO, flags([8], [5, 8]), flags(*read))
        np.testing.assert_allclose(head.share_B, want, atol=1e-4)
        assert (head.layer, head.place, head.head, head.name) == (0, 0, 0, "dense")
    fair_B = [1 / 9, (1 / 6 + 1 / 9) / 2]
    (head,) = analysis.head_pointing(of, TWO, flags([8], [5, 8]), flags([5], [2]))
    np.testing.assert_allclose(head.chance_B, fair_B)
    (head,) = analysis.head_pointing(of, TWO, flags([8], []), flags([5], [2]))
    assert np.isfinite(head.share_B[0]) and np.isnan(head.share_B[1])


def test_it_is_the_share_of_the_whole_matrix():
    """Of a mixer in closed form and of one by its Jacobian, side by side."""
    of, reader_BT, read_BT = restored("delta|rnn"), flags([4, 8], [7]), flags([1], [7])
    found = analysis.head_pointing(of, TWO, reader_BT, read_BT)
    assert {head.name for head in found} == {"delta", "rnn"}
    for place in range(len(open_model(of).layers[0])):
        own = [head for head in found if head.place == place]
        for b, inputs in enumerate(TWO):
            named, x_TD = mixing.chosen(of, inputs, 0, place)
            M_HTS = (
                mixing.closed(named, x_TD)
                if named.name == "delta"
                else mixing.jacobian(named, x_TD)[None]
            )
            want_H = analysis.shares(M_HTS, reader_BT[b], read_BT[b])
            got_H = [head.share_B[b] for head in own]
            np.testing.assert_allclose(got_H, want_H, rtol=1e-3, atol=1e-5)


def test_flags_are_for_every_position_of_a_model_without_strides():
    some_BT = flags([8], [8])
    with pytest.raises(BadInput, match=r"shape \(2, 8\); it must be \(2, 9\), one for"):
        analysis.head_pointing(restored("conv"), TWO, some_BT, some_BT[:, 1:])
    short = restored("conv", causal=False, classes=2, strides=(3,))
    with pytest.raises(BadInput, match="it must be a model without strides"):
        analysis.head_pointing(short, TWO, some_BT, some_BT)
