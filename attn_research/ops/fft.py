"""Convolutions with kernels as long as the sequence."""

from typing import Literal

import jax
import jax.numpy as jnp

from attn_research.ops.implementations import check_implementation
from attn_research.ops.precision import wide

# A matrix product is faster than a transform up to NEAR tokens, and a sum of shifted
# copies is faster than a product up to NEXT.
NEAR, NEXT = 128, 4


def long_convolution(
    x_BTD: jax.Array,
    kernel_TD: jax.Array,
    *,
    segments_BT: jax.Array | None = None,
    implementation: Literal["naive", "halving", "fft"] | None = None,
) -> jax.Array:
    """y_t = sum_{s <= t} kernel_{t-s} x_s, each channel on its own; sums in float32.

    Packed segments do not see each other; y is exactly zero at padding (segment 0).
    `implementation` is "naive" (a T x T matrix for each channel, the twin), "halving"
    or "fft"; None picks halving. Raises ValueError for any other name.

    Halving (van der Hoeven, 2002) pairs neighbouring blocks of 128, 256, ... tokens:
    what the first gives to the second is one short transform. A pair of tokens meets
    once, in blocks that only a segment across the seam can join, so that segments cost
    a mask and not a bit of the future reaches the past. O(T log^2 T) time, O(T) memory.

    One "fft" of double length is O(T log T), about three times faster if there are
    no segments (with them it is halving), but the rounding of later tokens, 1e-7 of the
    largest, reaches earlier ones.
    """
    check_implementation(implementation, "naive", "halving", "fft")
    dtype, T = x_BTD.dtype, x_BTD.shape[1]
    work = wide(dtype)
    x_BDT = x_BTD.swapaxes(1, 2).astype(work)
    kernel_DT = kernel_TD[:T].T.astype(work)
    if segments_BT is not None:
        x_BDT = jnp.where((segments_BT != 0)[:, None], x_BDT, 0)
    match implementation:
        case "naive":
            y_BDT = _naive(x_BDT, kernel_DT, segments_BT)
        case "fft" if segments_BT is None:
            y_BDT = _transformed(x_BDT, kernel_DT[None], 2 * T)[..., :T]
        case _:
            y_BDT = _halving(x_BDT, kernel_DT, segments_BT)
    if segments_BT is not None:
        y_BDT = jnp.where((segments_BT != 0)[:, None], y_BDT, 0)
    return y_BDT.swapaxes(1, 2).astype(dtype)


def _naive(x_BDT, kernel_DT, segments_BT):
    time_T = jnp.arange(x_BDT.shape[2])
    back_TS = time_T[:, None] - time_T[None]
    matrix_DTS = jnp.where(back_TS[None] >= 0, kernel_DT[:, back_TS], 0)
    if segments_BT is None:
        return jnp.einsum("DTS,BDS->BDT", matrix_DTS, x_BDT)
    same_BTS = segments_BT[:, :, None] == segments_BT[:, None]
    return jnp.einsum(
        "DTS,BTS,BDS->BDT", matrix_DTS, same_BTS.astype(x_BDT.dtype), x_BDT
    )


def _transformed(x, kernel, length):
    """The circular convolution of period `length` on the last axis."""
    product = jnp.fft.rfft(x, length) * jnp.fft.rfft(kernel, length)
    return jnp.fft.irfft(product, length)


def _halving(x_BDT, kernel_DT, segments_BT):
    if segments_BT is None:
        half, y_BDT = NEAR, _within(x_BDT, kernel_DT)
    else:
        half, y_BDT = NEXT, _shifted(x_BDT, kernel_DT, segments_BT)
    while half < x_BDT.shape[2]:
        # Recomputed in the backward: keeping the transforms of all levels takes memory.
        level = jax.checkpoint(_across, static_argnums=3)
        y_BDT = y_BDT + level(x_BDT, kernel_DT, segments_BT, half)
        half *= 2
    return y_BDT


def _within(x_BDT, kernel_DT):
    """The contributions within each block of `NEAR` tokens, without segments."""
    C = min(NEAR, x_BDT.shape[2])
    x_BDNC = _blocks(x_BDT, C)
    time_C = jnp.arange(C)
    return _flat(_product(x_BDNC, kernel_DT, time_C, time_C), x_BDT)


def _shifted(x_BDT, kernel_DT, segments_BT):
    """The contributions within each block of `NEXT` tokens."""
    C = min(NEXT, x_BDT.shape[2])
    x_BDNC, segments_B1NC = _blocks(x_BDT, C), _blocks(segments_BT[:, None], C)
    y_BDNC = x_BDNC * kernel_DT[None, :, 0, None, None]
    for back in range(1, C):
        edge = [(0, 0)] * 3 + [(back, 0)]
        before_BDNC = jnp.pad(x_BDNC[..., :-back], edge)
        same_B1NC = jnp.pad(segments_B1NC[..., :-back], edge) == segments_B1NC
        term_BDNC = before_BDNC * kernel_DT[None, :, back, None, None]
        y_BDNC = y_BDNC + jnp.where(same_B1NC, term_BDNC, 0)
    return _flat(y_BDNC, x_BDT)


def _across(x_BDT, kernel_DT, segments_BT, half):
    """The contribution of every first block of `half` tokens to the second after it."""
    first_BDNC = _blocks(x_BDT, 2 * half)[..., :half]
    second_B1NC = None
    if segments_BT is not None:
        segments_B1NC = _blocks(segments_BT[:, None], 2 * half)
        # Only the segment across the seam is in both blocks.
        seam_B1N1 = segments_B1NC[..., half - 1 : half]
        second_B1NC = segments_B1NC[..., half:] == seam_B1N1
        first_B1NC = segments_B1NC[..., :half] == seam_B1N1
        first_BDNC = jnp.where(first_B1NC, first_BDNC, 0)
    if half < NEAR:
        time_C = jnp.arange(half)
        given_BDNC = _product(first_BDNC, kernel_DT, time_C + half, time_C)
    else:
        # Nothing wraps around into the second half of the period.
        kernel_D1C = kernel_DT[None, :, None, : 2 * half]
        given_BDNC = _transformed(first_BDNC, kernel_D1C, 2 * half)[..., half:]
    if second_B1NC is not None:
        given_BDNC = jnp.where(second_B1NC, given_BDNC, 0)
    return _flat(jnp.pad(given_BDNC, [(0, 0)] * 3 + [(half, 0)]), x_BDT)


def _product(x_BDNS, kernel_DT, time_C, time_S):
    """The contribution of the times S of each block to the times C, as a product."""
    back_CS = time_C[:, None] - time_S[None]
    # Distances beyond the sequence reach no token.
    held_DCS = kernel_DT[:, jnp.clip(back_CS, 0, kernel_DT.shape[1] - 1)]
    matrix_DCS = jnp.where(back_CS[None] >= 0, held_DCS, 0)
    # Rounded to TensorFloat-32 a long sum would lose its digits.
    return jnp.einsum(
        "DCS,BDNS->BDNC", matrix_DCS, x_BDNS, precision=jax.lax.Precision.HIGHEST
    )


def _flat(y_BDNC, x_BDT):
    """Blocks (B, D, N, C) as a sequence as long as x."""
    B, D, T = x_BDT.shape
    return y_BDNC.reshape(B, D, -1)[..., :T]


def _blocks(x_BDT, size):
    """x (..., T) as blocks (..., N, size), with zeros after the last token."""
    T = x_BDT.shape[-1]
    x_BDT = jnp.pad(x_BDT, [(0, 0)] * (x_BDT.ndim - 1) + [(0, -T % size)])
    return x_BDT.reshape(*x_BDT.shape[:-1], -1, size)
