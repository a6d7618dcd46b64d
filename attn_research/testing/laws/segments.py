"""Padding and packing: a sequence gives what it gives alone, wherever it stands."""

import jax
import numpy as np

from attn_research.testing.laws.case import (
    BATCH,
    LENGTH,
    ONES,
    WIDTH,
    Case,
    draw,
    inputs,
    pull,
    split,
)
from attn_research.testing.laws.measure import close, finite

SHORT = 7
IDS = (2**20, 3)  # a segment may have any number but 0


def law_padding(case: Case) -> None:
    """Content, side and amount of padding change nothing at real positions."""
    shape = BATCH, LENGTH, WIDTH
    for fill in (np.zeros(shape, np.float32), draw(7, *shape), draw(8, *shape) * 1e4):
        for offset in (0, 5, LENGTH - SHORT):
            packed(case, (offset,), fill)
    for value in (np.nan, np.inf):  # what 0 times it would let through
        packed(case, (5,), np.full(shape, value, np.float32))


def law_packing(case: Case) -> None:
    """A packed sequence gives what it gives alone."""
    fill = draw(7, BATCH, LENGTH, WIDTH)
    packed(case, (0, SHORT), fill)
    packed(case, (1, SHORT + 3), fill)


def law_empty(case: Case) -> None:
    """Rows of only padding give exact zeros, gradients included."""
    graph, state = split(case)
    got = pull(graph, state, inputs()[0], np.zeros_like(ONES), inputs()[1])
    assert finite(got), "not finite"
    for leaf in jax.tree.leaves(got):
        assert not np.asarray(leaf).any(), "not zero"


def packed(case: Case, offsets: tuple[int, ...], fill: np.ndarray) -> None:
    """Short sequences within a long one give what each gives alone."""
    graph, state = split(case)
    x_NBSD = draw(4, len(offsets), BATCH, SHORT, WIDTH)
    ct_NBSD = draw(5, len(offsets), BATCH, SHORT, WIDTH)
    alone = [
        pull(graph, state, x, None, ct) for x, ct in zip(x_NBSD, ct_NBSD, strict=True)
    ]
    x_BTD, segments_BT = place(x_NBSD, offsets, fill)
    # A cotangent at padding too: nothing may come of it.
    ct_BTD, _ = place(ct_NBSD, offsets, draw(6, *fill.shape))
    got = pull(graph, state, x_BTD, segments_BT, ct_BTD)
    for one, offset in zip(alone, offsets, strict=True):
        inside = slice(offset, offset + SHORT)
        where = f"sequence at {offset}"
        close(got.y_BTD[:, inside], one.y_BTD, case.same, f"{where}, output")
        close(got.x_BTD[:, inside], one.x_BTD, case.same, f"{where}, gradient of input")
    total = jax.tree.map(lambda *leaves: sum(leaves), *(one.params for one in alone))
    close(got.params, total, case.same, "gradient of parameters", case.flat)
    padding_BT = segments_BT == 0
    assert not np.asarray(got.y_BTD)[padding_BT].any(), "padding has an output"
    assert not np.asarray(got.x_BTD)[padding_BT].any(), "padding has a gradient"


def place(parts_NBSD: np.ndarray, offsets: tuple[int, ...], fill: np.ndarray):
    """Short sequences at `offsets` of a long one, numbered as in `IDS`."""
    x_BTD, segments_BT = fill.copy(), np.zeros_like(ONES)
    for part_BSD, number, offset in zip(parts_NBSD, IDS, offsets, strict=False):
        x_BTD[:, offset : offset + SHORT] = part_BSD
        segments_BT[:, offset : offset + SHORT] = number
    return x_BTD, segments_BT
