"""Attention through sparse masks, never building T x S.

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
    """out_BTHE."""
    if implementation == "naive":
        return dense.naive(q_BTHK, k_BTGK, v_BTGE, mask, segments_BT, segments_BT)
    return flash.attend(q_BTHK, k_BTGK, v_BTGE, mask, segments_BT, segments_BT)
