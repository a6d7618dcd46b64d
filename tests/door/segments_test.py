"""Segments from a mask, from ids or from lengths."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import attn_research as ar
from tests.door.building_test import B, D, T, drawn, refused


def test_segments_come_from_a_mask_from_ids_and_from_lengths():
    mask_BT = np.array([[1, 1, 1, 0], [0, 1, 1, 1]], bool)
    want = mask_BT.astype(np.int32)
    for given in (mask_BT, jnp.asarray(mask_BT), mask_BT.tolist()):
        out_BT = ar.segments(given)
        assert out_BT.dtype == jnp.int32
        np.testing.assert_array_equal(out_BT, want)
    np.testing.assert_array_equal(ar.segments(~mask_BT, true_means="padding"), want)
    ids_BT = np.array([[1, 1, 2, 0, 9], [7, 0, 3, 3, 1]], np.uint8)
    np.testing.assert_array_equal(ar.segments(ids_BT), ids_BT)
    lengths = [[1, 1, 1, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(ar.segments([3, 0], length=4), lengths)
    np.testing.assert_array_equal(ar.segments(np.array([2, 3])), [[1, 1, 0], [1] * 3])
    traced = jax.jit(lambda mask: ar.segments(mask))(mask_BT)
    np.testing.assert_array_equal(traced, want)
    traced = jax.jit(lambda lengths_B: ar.segments(lengths_B, length=4))(
        jnp.array([3, 0])
    )
    np.testing.assert_array_equal(traced, lengths)


def test_padding_has_no_effect_through_segments():
    mixer = drawn("dense")
    x_BTD = jax.random.normal(jax.random.key(1), (B, T, D))
    short_BTD = mixer(x_BTD[:, :7])
    y_BTD = mixer(x_BTD, ar.segments([7, 7], length=T))
    np.testing.assert_allclose(y_BTD[:, :7], short_BTD, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(y_BTD[:, 7:], 0)


@pytest.mark.parametrize(
    "given, more, words",
    [
        (np.ones((2, 3)), {}, "must be a boolean mask_BT, whole numbers"),
        (np.ones((2, 3, 1), bool), {}, "must be a boolean mask_BT, whole numbers"),
        (np.ones((2, 0), bool), {}, "must be a boolean mask_BT, whole numbers"),
        ("mask", {}, "must be a boolean mask_BT, whole numbers"),
        (None, {}, "must be a boolean mask_BT, whole numbers"),
        (np.ones(3, bool), {}, "a row for each sequence"),
        (np.array([[1, 1], [0, 0]], bool), {}, "Row 1 of the mask has no token"),
        (np.array([[1, 0], [1, 1]], bool), {"true_means": "padding"}, "Row 1 of the"),
        (np.ones((1, 2), bool), {"true_means": "pad"}, "must be token or padding"),
        (np.ones((1, 2), int), {"true_means": "padding"}, "must be boolean"),
        (np.array([[1, -1]]), {}, "0 for padding and 1, 2, ..."),
        (np.array([[1, 1], [2**31, 0]]), {}, "0 for padding and 1, 2, ..."),
        (np.array([[1, 1, 1], [1, 0, 1]]), {}, "Segment 1 of row 1 is in several"),
        (np.array([[3, 2, 3]]), {}, "Segment 3 of row 0 is in several"),
        (np.ones((1, 3), int), {"length": 4}, "must be left out"),
        (np.array([3, 5]), {"length": 4}, "must be 0 to 4"),
        (np.array([-1, 2]), {}, "must be 0 to 2"),
        (np.array([2]), {"length": 1.5}, "whole number from 1 to"),
        (np.array([2]), {"length": 2**40}, "whole number from 1 to"),
        ([2**40], {}, "it must be a whole number from 1 to 16777216"),
        ([2**70], {}, "must be a boolean mask_BT, whole numbers"),
        ([[True], [True, False]], {}, "must be of one length"),
        ([[1, 1], [1]], {}, "must be of one length"),
        ([[True, False, True]], {}, "Row 0 of the mask has padding between its tokens"),
        ([[False, True], [True, True]], {"length": 3}, "must be left out"),
        (
            np.array([[1, 1, 0, 0], [0, 1, 0, 1]], bool),
            {"true_means": "padding"},
            "Row 1 of the mask has padding between",
        ),
    ],
)
def test_what_cannot_be_segments_is_said(given, more, words):
    assert words in refused(ar.segments, given, **more)


def test_lengths_under_jit_need_the_number_of_positions():
    with pytest.raises(ar.BadInput, match="length must be given"):
        jax.jit(ar.segments)(jnp.array([1, 2]))
