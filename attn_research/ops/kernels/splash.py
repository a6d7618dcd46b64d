"""Softmax attention by the splash kernel of JAX, on a TPU.

The kernel visits only the blocks that a band admits, in memory linear in the length.
It refuses masks other than bands, keys of another sequence, biases, sinks and forget
gates, float64.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp

from attn_research.ops.logits import Logits
from attn_research.ops.masks import Band, Mask
from attn_research.ops.platform import platform

LANES = 128  # blocks of a TPU are whole multiples


def runs() -> bool:
    """Whether the kernel runs on the platform."""
    return platform() == "tpu"


def lacks(mask: Mask, logits: Logits, dtype: Any) -> str | None:
    """What the kernel cannot do of these, or None."""
    if not isinstance(mask, Band):
        return "masks other than causal, full and windows"
    if logits.bias_HD is not None or logits.sink_H is not None:
        return "biases and sinks"
    if logits.log_forget_BTH is not None:
        return "forget gates"
    return "float64" if dtype == jnp.float64 else None


def splash_attention(
    q_BTHK: jax.Array,
    k_BTGK: jax.Array,
    v_BTGE: jax.Array,
    *,
    mask: Mask,
    segments_BT: jax.Array | None = None,
    cap: float | None = None,
    interpret: bool = False,
) -> jax.Array:
    """out_BTHE of self-attention; exactly zero at padding.

    `interpret` runs the kernel's own program step by step on any platform, for tests.
    """
    B, T, H, K = q_BTHK.shape
    if segments_BT is None:
        segments_BT = jnp.ones((B, T), jnp.int32)
    if not isinstance(mask, Band):
        raise ValueError(f"The mask of splash is {mask}; it must be a band")
    more = -T % LANES
    kernel = _kernel(T + more, H, mask, cap, interpret)

    def heads(x):
        x_BHTK = x.swapaxes(1, 2)
        return jnp.pad(x_BHTK, ((0, 0), (0, 0), (0, more), (0, 0)))

    ids_BT = jnp.pad(segments_BT, ((0, 0), (0, more)))
    q_BTHK = q_BTHK * jnp.asarray(1 / math.sqrt(K), q_BTHK.dtype)
    out_BHTE: Any = jax.vmap(kernel)(
        heads(q_BTHK),
        heads(k_BTGK),
        heads(v_BTGE),
        _splash().SegmentIds(ids_BT, ids_BT),
    )
    out_BTHE = out_BHTE[:, :, :T].swapaxes(1, 2)
    return jnp.where((segments_BT != 0)[..., None, None], out_BTHE, 0)


@functools.cache
def _kernel(length: int, heads: int, mask: Band, cap: float | None, interpret: bool):
    from jax.experimental.pallas.ops.tpu.splash_attention import (
        splash_attention_mask as masks,
    )

    bounds = mask.left, mask.right
    one = masks.LocalMask((length, length), bounds, offset=0)
    if bounds == (None, 0):
        one = masks.CausalMask((length, length))
    if bounds == (None, None):
        one = masks.FullMask((length, length))
    # The kernel holds arrays; they outlive the trace in which it is made first.
    with jax.ensure_compile_time_eval():
        return _splash().make_splash_mha_single_device(
            masks.MultiHeadMask([one] * heads),
            attn_logits_soft_cap=cap,
            interpret=interpret,
        )


def _splash():
    from jax.experimental.pallas.ops.tpu.splash_attention import (
        splash_attention_kernel,
    )

    return splash_attention_kernel
