"""Masks: the rule, its composition, and the blocks an op may skip."""

import jax.numpy as jnp
import numpy as np
import pytest

from attn_research.ops.masks import CAUSAL, FULL, Band, matrix, pairs, together, window

BANDS = (FULL, CAUSAL, window(3, 0), window(0, 0), window(2, 4), Band(left=5))


@pytest.mark.parametrize("mask", BANDS, ids=str)
@pytest.mark.parametrize("queries, keys", [(1, 1), (9, 9), (5, 12), (12, 5)])
def test_dense_is_the_definition(mask, queries, keys):
    left = np.inf if mask.left is None else mask.left
    right = np.inf if mask.right is None else mask.right
    want = [[t - left <= s <= t + right for s in range(keys)] for t in range(queries)]
    np.testing.assert_array_equal(matrix(mask, queries, keys), want)


@pytest.mark.parametrize("one", BANDS, ids=str)
@pytest.mark.parametrize("two", BANDS, ids=str)
def test_and_admits_what_both_admit(one, two):
    both = one & two
    np.testing.assert_array_equal(
        matrix(both, 9, 11), matrix(one, 9, 11) & matrix(two, 9, 11)
    )
    assert hash(both) == hash(two & one) and both == two & one


@pytest.mark.parametrize("mask", BANDS, ids=str)
def test_span_holds_every_admitted_key_and_no_block_more(mask):
    dense_TS = np.asarray(matrix(mask, 12, 10))
    for first in range(12):
        for last in range(first, 12):
            low, high = map(int, mask.span(jnp.int32(first), jnp.int32(last), 10))
            seen = np.flatnonzero(dense_TS[first : last + 1].any(axis=0))
            wanted = range(seen[0], seen[-1] + 1) if len(seen) else range(0)
            assert set(wanted) <= set(range(low, high))
            assert not len(seen) or range(low, high) == wanted


@pytest.mark.parametrize("mask", BANDS, ids=str)
@pytest.mark.parametrize("length", [1, 4, 9])
def test_pairs_counts_the_mask(mask, length):
    assert pairs(mask, length) == int(matrix(mask, length, length).sum())


def test_together_is_same_segment_and_never_padding():
    segments_BT = jnp.array([[0, 1, 1, 2, 0]])
    want_TS = np.zeros((5, 5), bool)
    want_TS[1:3, 1:3] = want_TS[3, 3] = True
    np.testing.assert_array_equal(together(segments_BT, segments_BT)[0], want_TS)


def test_a_window_reaches_no_less_than_nothing():
    with pytest.raises(ValueError, match="-1 back"):
        window(-1, 0)
