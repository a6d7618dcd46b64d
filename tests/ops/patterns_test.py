"""Sparse masks: the rules against loops, their blocks, and attention through them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_research.ops import dense, flash, sparse
from attn_research.ops.masks import CAUSAL, areas, matrix, pairs, tiling, window
from attn_research.ops.patterns import Globals, Local, Random, Stride
from attn_research.ops.tiles import tiles

RANDOM = Random(links=2, size=3, seed=5)
RULES = {
    Globals(2): lambda t, s: t < 2 or s < 2,
    Globals(0): lambda t, s: False,
    Stride(3): lambda t, s: abs(t - s) % 3 == 0,
    Local(4): lambda t, s: t // 4 == s // 4,
    window(4, 4) & Stride(2): lambda t, s: abs(t - s) in (0, 2, 4),
    window(1, 1) | Globals(1): lambda t, s: abs(t - s) < 2 or t == 0 or s == 0,
    (window(1, 0) | Stride(4)) & CAUSAL: (
        lambda t, s: t - s == 1 or (t >= s and (t - s) % 4 == 0)
    ),
}
BIGBIRD = window(2, 2) | Globals(2) | RANDOM
MASKS = (*RULES, RANDOM, BIGBIRD, BIGBIRD & CAUSAL)


def seen(mask, queries: int, keys: int) -> np.ndarray:
    """The whole mask, by NumPy."""
    admit_TS = mask.admit(np.arange(queries)[:, None], np.arange(keys)[None])
    return np.broadcast_to(admit_TS, (queries, keys))


@pytest.mark.parametrize("mask", MASKS, ids=str)
def test_dense_is_the_definition(mask):
    found_TS = np.asarray(jax.jit(lambda: matrix(mask, 13, 9))())
    np.testing.assert_array_equal(found_TS, seen(mask, 13, 9))
    if mask in RULES:
        want = [[RULES[mask](t, s) for s in range(9)] for t in range(13)]
        np.testing.assert_array_equal(found_TS, want)


def test_links_go_both_ways_and_do_not_depend_on_the_length():
    link_TS = seen(RANDOM, 30, 30)
    np.testing.assert_array_equal(link_TS, link_TS.T)
    np.testing.assert_array_equal(seen(RANDOM, 17, 17), link_TS[:17, :17])
    early_NN = np.tril(link_TS[::3, ::3])
    np.testing.assert_array_equal(
        link_TS, np.kron(early_NN | early_NN.T, np.ones((3, 3)))
    )
    drawn_N = early_NN.sum(axis=1)
    assert drawn_N[0] == 0 and drawn_N[1] == 1 and drawn_N.max() == 2
    assert not np.array_equal(link_TS, seen(Random(2, 3, 6), 30, 30))


def test_links_are_spread_evenly():
    early_NN = np.tril(seen(Random(1, 1, 0), 2_000, 2_000))
    share = np.argmax(early_NN[1:], axis=1) / np.arange(1, 2_000)
    counts, _ = np.histogram(share[100:], bins=10, range=(0, 1))
    assert abs(counts - 190).max() < 5 * np.sqrt(190)


@pytest.mark.parametrize("mask", MASKS, ids=str)
@pytest.mark.parametrize("rows, columns", [(1, 1), (4, 4), (4, 3), (5, 30)])
def test_blocks_hold_every_admitted_pair(mask, rows, columns):
    admit_TS = seen(mask, 25, 30)
    area = areas(25, 30, rows, columns)
    may_IJ, full_IJ = mask.may(area), mask.full(area)
    if rows == columns:
        np.testing.assert_array_equal(tiling(mask, 25, 30, rows), may_IJ)
    for i, j in np.ndindex(may_IJ.shape):
        inside = admit_TS[i * rows : (i + 1) * rows, j * columns : (j + 1) * columns]
        assert may_IJ[i, j] or not inside.any()
        assert not full_IJ[i, j] or inside.all()
        if rows == columns == 1:
            assert may_IJ[i, j] == full_IJ[i, j] == inside.all()


@pytest.mark.parametrize("mask", MASKS, ids=str)
@pytest.mark.parametrize("length", [1, 23])
def test_pairs_counts_the_mask(mask, length):
    assert pairs(mask, length) == int(seen(mask, length, length).sum())


@pytest.mark.parametrize("mask", MASKS, ids=str)
def test_reach_bounds_what_is_seen(mask):
    back = np.argwhere(seen(mask, 19, 19)) @ [1, -1]
    assert back.size == 0 or back.max() <= mask.reach(19)


def arrays(dtype=np.float32):
    source = np.random.default_rng(0)
    sizes = ((2, 41, heads, 4) for heads in (4, 2, 2, 4))
    return [source.standard_normal(size).astype(dtype) for size in sizes]


ROWS = np.array([[1] * 5 + [2] * 2 + [3] * 25 + [0] * 9, [0] * 3 + [7] * 38], np.int32)


@functools.partial(jax.jit, static_argnums=(0, 1))
def pulled(form, mask, ids, q, k, v, ct):
    out, back = jax.vjp(
        lambda q, k, v: form(q, k, v, mask=mask, segments_BT=ids, source_BS=ids),
        q,
        k,
        v,
    )
    return out, *back(ct)


def error(got, want) -> float:
    got, want = np.asarray(got, np.float64), np.asarray(want)
    return float(np.linalg.norm(got - want) / (np.linalg.norm(want) or 1))


@pytest.mark.parametrize("ids", [None, ROWS], ids=["alone", "packed"])
@pytest.mark.parametrize(
    "mask", [BIGBIRD & CAUSAL, window(4, 4) & Stride(2) | Globals(1)], ids=str
)
def test_blocks_give_what_the_naive_form_gives_in_float64(mask, ids):
    with jax.enable_x64(True):
        want = pulled(dense.naive, mask, ids, *arrays(np.float64))
    got = pulled(
        functools.partial(flash.flash_attention, block=6), mask, ids, *arrays()
    )
    for one, two, reach in zip(got, want, (2e-6, 1e-5, 1e-5, 1e-5), strict=True):
        assert error(one, two) <= reach


def test_a_packed_sequence_sees_what_it_sees_alone():
    see = jax.jit(
        functools.partial(sparse.sparse_attention, mask=BIGBIRD & CAUSAL, chunk=6)
    )
    q, k, v, _ = arrays()
    got = np.asarray(see(q, k, v, segments_BT=ROWS))
    for row, low, high in ((0, 0, 5), (0, 5, 7), (0, 7, 32), (1, 3, 41)):
        # From the first place on, with padding behind: one program for all.
        moved = [np.roll(x[[row, row]], -low, axis=1) for x in (q, k, v)]
        only_BT = np.tile(np.arange(41) < high - low, (2, 1)).astype(np.int32)
        alone = see(*moved, segments_BT=only_BT)
        assert error(got[row, low:high], alone[0, : high - low]) <= 2e-6
    # And without any segments.
    last = [x[1:, 3:] for x in (q, k, v)]
    assert error(got[1:, 3:], see(*last)) <= 2e-6


def test_blocks_that_the_mask_discards_are_not_visited():
    mask = (window(15, 0) | Globals(16)) & CAUSAL
    ids = np.ones((1, 64, 16), np.int32)
    for segmented in (False, True):
        listed = jax.jit(functools.partial(tiles, mask, segmented=segmented))(ids, ids)
        assert listed is not None
        np.testing.assert_array_equal(listed.count_BI[0], [1, 2] + [3] * 62)
        np.testing.assert_array_equal(listed.visit_BIN[0, 9, :3], [0, 8, 9])


def test_memory_is_linear_in_the_length():
    mask = (window(63, 0) | Globals(1)) & CAUSAL

    def temporaries(length: int) -> int:
        like = jax.ShapeDtypeStruct((1, length, 2, 16), jnp.float32)
        grad = jax.grad(
            lambda q, k, v: sparse.sparse_attention(q, k, v, mask=mask).sum(), (0, 1, 2)
        )
        program = jax.jit(grad).lower(like, like, like).compile()
        return program.memory_analysis().temp_size_in_bytes

    assert temporaries(16_384) <= 4.5 * temporaries(4_096)
