"""Attention through sparse masks: what a mask discards is never computed.

Now: sliding windows. Beltagy et al., 2020, arXiv:2004.05150.
"""

from typing import Literal

import jax

from attn_research.ops import dense, flash
from attn_research.ops.masks import Band


def attend(
    q_BTHK: jax.Array,
    k_BTGK: jax.Array,
    v_BTGE: jax.Array,
    *,
    mask: Band,
    segments_BT: jax.Array | None = None,
    implementation: Literal["naive", "chunked"] | None = None,
) -> jax.Array:
    """out_BTHE of self-attention through a window: `dense.attend` with its mask.

    "naive", the twin, builds T x T; "chunked", the default, costs T times the window
    in time and T in memory. Raises ValueError for another implementation, or where the
    shapes do not fit.
    """
    dense.shapes(q_BTHK, k_BTGK, v_BTGE)
    arrays = q_BTHK, k_BTGK, v_BTGE, mask, segments_BT, segments_BT
    if implementation == "naive":
        return dense.naive(*arrays)
    if implementation in (None, "chunked"):
        return flash.attend(*arrays, block=block(mask))
    raise ValueError(
        f"No implementation {implementation!r} of window attention; naive and chunked "
        "are there"
    )


def block(mask: Band) -> int:
    """The block that wastes least: half a window, where products stay efficient."""
    if mask.left is None or mask.right is None:
        return flash.BLOCK
    return min(flash.BLOCK, max(64, (mask.left + mask.right + 1) // 2))
