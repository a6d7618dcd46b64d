"""Attention through sparse masks: discarded blocks are never computed.

Sliding windows: Beltagy et al., 2020, arXiv:2004.05150.
"""

from typing import Literal

import jax

from attn_research.ops import dense, flash
from attn_research.ops.forgetting import check_gates
from attn_research.ops.implementations import check_implementation
from attn_research.ops.linearity import linear_in
from attn_research.ops.logits import PLAIN, Logits
from attn_research.ops.masks import Band, Mask
from attn_research.ops.platform import accelerated

# Smaller blocks follow a mask more closely, larger ones multiply faster.
BLOCK = 128


@linear_in("v_BTGE")
def sparse_attention(
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
    """out_BTHE of self-attention through a mask: `dense.attention` with its mask.

    "naive", the twin, builds T x T; "chunked", the default, visits the blocks of
    `chunk` tokens that the mask may admit, in memory linear in T and in the number of
    pairs of blocks; a window costs T times its size. On an accelerator a band is by
    default left to the choice of `dense.attention`, which knows kernels for it. Raises
    ValueError for another implementation, or if the shapes do not fit.
    """
    check_implementation(implementation, "naive", "chunked")
    dense.check_shapes(q_BTHK, k_BTGK, v_BTGE)
    dense.check_mask(q_BTHK, k_BTGK, mask, segments_BT, segments_BT)
    check_gates(q_BTHK, k_BTGK, mask, logits.log_forget_BTH)
    arrays = q_BTHK, k_BTGK, v_BTGE
    seen = {"mask": mask, "segments_BT": segments_BT, "source_BS": segments_BT}
    if implementation == "naive":
        return dense.naive(*arrays, **seen, logits=logits)
    if accelerated() and isinstance(mask, Band):
        if implementation is None:
            return dense.attention(*arrays, **seen, logits=logits)
        return flash.flash_attention(*arrays, **seen, block=chunk, logits=logits)
    size = chunk or block(mask)
    return flash.flash_attention(*arrays, **seen, block=size, logits=logits)


def block(mask: Mask) -> int:
    """The block that wastes least: half a window, if products stay efficient."""
    if not isinstance(mask, Band):
        return BLOCK
    if mask.left is None or mask.right is None:
        return flash.BLOCK
    return min(flash.BLOCK, max(64, (mask.left + mask.right + 1) // 2))
