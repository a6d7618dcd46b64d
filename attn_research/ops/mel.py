"""Log-mel frames of waves."""

import functools

import jax
import jax.numpy as jnp
import numpy as np


def mel_frames(
    wave_BL: jax.Array, *, window: int, hop: int, bands: int, rate: int
) -> jax.Array:
    """frames_BTF: the logarithm of the power of F mel bands around every hop samples.

    Frame t reads the `window` samples from t * hop on, zeros after the end, weighted by
    Hann's window; the bands are triangles, even on the mel scale of Stevens et al.,
    1937, from 0 to rate / 2 (samples per second). T is L over the hop, rounded up.
    The logarithm is shifted and scaled so that speech is about 1.
    """
    length = wave_BL.shape[1]
    count = -(-length // hop)
    wave_BL = jnp.pad(wave_BL, ((0, 0), (0, (count - 1) * hop + window - length)))
    at_TW = np.arange(count)[:, None] * hop + np.arange(window)
    hann_W = jnp.asarray(np.hanning(window + 1)[:-1], wave_BL.dtype)
    frame_BTW = wave_BL[:, at_TW] * hann_W[None, None]
    power_BTN = jnp.square(jnp.abs(jnp.fft.rfft(frame_BTW, axis=-1)))
    bank_NF = jnp.asarray(_bank(window, bands, rate), wave_BL.dtype)
    return (jnp.log(power_BTN @ bank_NF + 1e-6) + 4) / 4


@functools.cache
def _bank(window: int, bands: int, rate: int) -> np.ndarray:
    """bank_NF: the weight of each frequency of a Fourier transform in each band."""
    frequency_N = np.fft.rfftfreq(window, 1 / rate)
    top = 2595 * np.log10(1 + rate / 2 / 700)
    edge = 700 * (10 ** (np.linspace(0, top, bands + 2) / 2595) - 1)
    low, middle, high = edge[:-2], edge[1:-1], edge[2:]
    rising = (frequency_N[:, None] - low) / (middle - low)
    falling = (high - frequency_N[:, None]) / (high - middle)
    return np.maximum(np.minimum(rising, falling), 0)
