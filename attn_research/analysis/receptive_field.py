"""The inputs that an output can depend on, and how its dependence is spread over them.

Theoretical: the inputs that the masks and reaches of the mixers admit, layer by layer.
Effective: the energy of the gradient of the outputs with respect to the inputs, by
distance (Luo et al., 2016, arXiv:1701.04128).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from attn_research.analysis.layers import Named, open_model
from attn_research.checkpoint import Restored
from attn_research.modules.attention import Attention
from attn_research.ops.masks import matrix


def reachable(restored: Restored, length: int) -> np.ndarray:
    """seen_NTS: whether the output of layer n at t can depend on the input at s.

    Exact for attention with a mask; for another mixer all within its reach counts.
    """
    serial = restored.config.model.residual == "serial"
    self_TS = np.eye(length, dtype=bool)
    seen_TS, seen_NTS = self_TS, []
    for stages in open_model(restored).stages:
        admitted = [admits(stage, length) for stage in stages]
        if not serial:
            admitted = [np.any(admitted, axis=0)]
        for admit_TS in admitted:
            # The residual stream carries a token to itself.
            seen_TS = _through(admit_TS | self_TS, seen_TS)
        seen_NTS.append(seen_TS)
    return np.stack(seen_NTS)


def admits(stage: Sequence[Named], length: int) -> np.ndarray:
    """admit_TS of parallel mixers: whether any of them admits s at t."""
    return np.any([_admits(named.mixer, length) for named in stage], axis=0)


def _admits(mixer: Any, length: int) -> np.ndarray:
    if isinstance(mixer, Attention):
        return np.asarray(matrix(mixer.mask, length, length))
    time_T = np.arange(length)
    back_TS = time_T[:, None] - time_T[None]
    near_TS = np.abs(back_TS) <= mixer.reach(length)
    return near_TS & (back_TS >= 0) if mixer.causal else near_TS


def _through(after_TR: np.ndarray, before_RS: np.ndarray) -> np.ndarray:
    """Whether a path leads from s to t through any r."""
    return after_TR.astype(np.float32) @ before_RS.astype(np.float32) > 0


def furthest(seen_NTS: np.ndarray) -> np.ndarray:
    """reach_N: the distance of the furthest input that any output can depend on."""
    time_T = np.arange(seen_NTS.shape[-1])
    apart_TS = np.abs(time_T[:, None] - time_T[None])
    return np.max(np.where(seen_NTS, apart_TS, 0), axis=(-2, -1))


def shares(energy_BK: np.ndarray) -> np.ndarray:
    """share_BK: the share of the energy within a distance of k tokens."""
    energy_BK = np.nan_to_num(energy_BK)
    total_B1 = energy_BK.sum(axis=-1, keepdims=True)
    return np.cumsum(energy_BK, axis=-1) / np.where(total_B1 > 0, total_B1, np.nan)


def radius(energy_BK: np.ndarray, share: float = 0.9) -> np.ndarray:
    """radius_B: the smallest distance within which this share of the energy lies."""
    # The last share may round to just below one.
    return np.argmax(shares(energy_BK) >= share * (1 - 1e-6), axis=-1)


def spread(energy_BK: np.ndarray) -> np.ndarray:
    """spread_B: the root of the mean squared distance of the energy, in tokens.

    For stacked convolutions it grows with the square root of the number of layers (Luo
    et al., 2016, arXiv:1701.04128).
    """
    energy_BK = np.nan_to_num(energy_BK)
    squared_K = np.arange(energy_BK.shape[-1]) ** 2.0
    total_B = energy_BK.sum(axis=-1)
    return np.sqrt(energy_BK @ squared_K / np.where(total_B > 0, total_B, np.nan))
