"""Convolutions over time: short and dilated ones, as sums of shifted copies.

Tap j reads the token j * dilation places back. A shifted copy is masked if it comes
from another segment, so that a tap never crosses a border: library convolutions cannot
do that, and are not faster for a handful of taps.
"""

from typing import Literal

import jax
import jax.numpy as jnp

from attn_research.ops.implementations import check_implementation


def depthwise_convolution(
    x_BTD: jax.Array,
    kernel_WD: jax.Array,
    *,
    dilation: int = 1,
    causal: bool = True,
    segments_BT: jax.Array | None = None,
    implementation: Literal["naive", "shifts"] | None = None,
) -> jax.Array:
    """y_t = sum_j kernel_j * x_{t - j dilation}, each channel on its own.

    If not causal, the taps are centred: tap j reads (j - (W - 1) / 2) * dilation back,
    W odd. y is exactly zero at padding (segment 0). `implementation` is "naive" (a
    T x T matrix for each channel, the twin) or "shifts"; None picks shifts. Raises
    ValueError for any other name, or for an even centred kernel.
    """
    if implementation == "naive":
        matrix_BTSD = jnp.einsum(
            "BTSW,WD->BTSD",
            _selection(x_BTD, kernel_WD.shape[0], dilation, causal, segments_BT),
            kernel_WD,
        )
        return jnp.einsum("BTSD,BSD->BTD", matrix_BTSD, x_BTD)
    check_implementation(implementation, "naive", "shifts")
    y_BTD = jnp.zeros_like(x_BTD)
    for j, back in enumerate(taps(kernel_WD.shape[0], dilation, causal)):
        y_BTD = y_BTD + shifted(x_BTD, back, segments_BT) * kernel_WD[j][None, None]
    return y_BTD


def dilated_convolution(
    x_BTD: jax.Array,
    kernel_WDF: jax.Array,
    *,
    dilation: int = 1,
    causal: bool = True,
    segments_BT: jax.Array | None = None,
    implementation: Literal["naive", "shifts"] | None = None,
) -> jax.Array:
    """y_BTF, y_t = sum_j x_{t - j dilation} @ kernel_j; as the depthwise one."""
    if implementation == "naive":
        selection_BTSW = _selection(
            x_BTD, kernel_WDF.shape[0], dilation, causal, segments_BT
        )
        return jnp.einsum("BTSW,BSD,WDF->BTF", selection_BTSW, x_BTD, kernel_WDF)
    check_implementation(implementation, "naive", "shifts")
    y_BTF = jnp.zeros((*x_BTD.shape[:2], kernel_WDF.shape[-1]), x_BTD.dtype)
    for j, back in enumerate(taps(kernel_WDF.shape[0], dilation, causal)):
        y_BTF = y_BTF + shifted(x_BTD, back, segments_BT) @ kernel_WDF[j]
    return y_BTF


def taps(width: int, dilation: int, causal: bool) -> list[int]:
    """How many tokens back each tap of a kernel reads; negative is the future."""
    if not causal and width % 2 == 0:
        raise ValueError(
            f"A centred kernel has {width} taps; it must have an odd number"
        )
    ahead = 0 if causal else (width - 1) // 2
    return [(j - ahead) * dilation for j in range(width)]


def shifted(x_BTD: jax.Array, back: int, segments_BT: jax.Array | None) -> jax.Array:
    """x_{t - back} if that token exists, is real and in the segment of t, else 0."""
    y_BTD = _slid(x_BTD, back)
    if segments_BT is None:
        return y_BTD
    seen_BT = (_slid(segments_BT, back) == segments_BT) & (segments_BT != 0)
    return jnp.where(seen_BT[..., None], y_BTD, 0)


def _slid(x_BT: jax.Array, back: int) -> jax.Array:
    # At most T zeros: a tap may reach back beyond the first token.
    T = x_BT.shape[1]
    zeros = min(abs(back), T)
    edges = (zeros, 0) if back > 0 else (0, zeros)
    widths = [(0, 0), edges] + [(0, 0)] * (x_BT.ndim - 2)
    start = 0 if back > 0 else zeros
    return jax.lax.slice_in_dim(jnp.pad(x_BT, widths), start, start + T, axis=1)


def _selection(x_BTD, width, dilation, causal, segments_BT):
    """1 if tap w of the output at t reads the source s, else 0 (B, T, S, W)."""
    B, T, _ = x_BTD.shape
    position_T = jnp.arange(T)
    back_TS1 = (position_T[:, None] - position_T[None, :])[..., None]
    taps_W = jnp.asarray(taps(width, dilation, causal))
    selected_BTSW = jnp.broadcast_to(back_TS1 == taps_W[None, None], (B, T, T, width))
    if segments_BT is not None:
        same_BTS = segments_BT[:, :, None] == segments_BT[:, None, :]
        seen_BTS = same_BTS & (segments_BT != 0)[:, :, None]
        selected_BTSW = selected_BTSW & seen_BTS[..., None]
    return selected_BTSW.astype(x_BTD.dtype)
