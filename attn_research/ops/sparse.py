"""Attention through sparse masks: blocks that a mask discards are never computed.

Sliding windows: Beltagy et al., 2020, arXiv:2004.05150.
"""

from typing import Literal

import jax

from attn_research.ops import dense, flash
from attn_research.ops.linearity import linear_in
from attn_research.ops.logits import PLAIN, Logits
from attn_research.ops.masks import Band, Mask

# Smaller blocks follow a mask more closely, larger ones multiply faster.
BLOCK = 128


@linear_in("v_BTGE")
def attend(
    q_BTHK: jax.Array,
    k_BTGK: jax.Array,
    v_BTGE: jax.Array,
    *,
    mask: Mask,
    segments_BT: jax.Array | None = None,
    logits: Logits = PLAIN,
    chunk: int | None = None,
    implementation: Literal["naive", "chunked"] | None = None,
) -> jax.Array:
    """out_BTHE of self-attention through a mask: `dense.attend` with its mask.

    "naive", the twin, builds T x T; "chunked", the default, visits the blocks of
    `chunk` tokens that the mask may admit, in memory linear in T and in the number of
    pairs of blocks; a window costs T times its size. Raises ValueError for another
    implementation, or where the shapes do not fit.
    """
    dense.shapes(q_BTHK, k_BTGK, v_BTGE)
    dense.visible(q_BTHK, k_BTGK, mask, segments_BT, segments_BT)
    arrays = q_BTHK, k_BTGK, v_BTGE, mask, segments_BT, segments_BT
    if implementation == "naive":
        return dense.naive(*arrays, logits)
    if implementation in (None, "chunked"):
        return flash.attend(*arrays, block=chunk or block(mask), logits=logits)
    raise ValueError(
        f"No implementation {implementation!r} of sparse attention; naive and chunked "
        "are there"
    )


def block(mask: Mask) -> int:
    """The block that wastes least: of a window half, where products stay efficient."""
    if not isinstance(mask, Band):
        return BLOCK
    if mask.left is None or mask.right is None:
        return flash.BLOCK
    return min(flash.BLOCK, max(64, (mask.left + mask.right + 1) // 2))
