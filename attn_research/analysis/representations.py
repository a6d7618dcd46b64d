"""The residual stream by layer: its norm, its effective rank, its similarity."""

from typing import Any

import jax
import numpy as np

from attn_research.analysis.layers import check_inputs, embed, open_model
from attn_research.analysis.sharing import shared
from attn_research.checkpoint import Restored


def streams(restored: Restored, inputs: Any, segments_BT: Any = None) -> np.ndarray:
    """x_NXD: the input of the first layer, then the output of each layer.

    X are the positions of all sequences that are not padding.
    """
    model = open_model(restored)
    stream = residual_stream(restored, check_inputs(model, inputs), segments_BT)
    x_NBTD = np.stack([np.asarray(x_BTD, np.float32) for x_BTD in stream])
    place_BT = model.trunk.positions(segments_BT)
    real_BT = np.ones(x_NBTD.shape[1:3], bool) if place_BT is None else place_BT > 0
    return x_NBTD[:, np.asarray(real_BT)]


@shared()
def residual_stream(
    restored: Restored, inputs: jax.Array, segments_BT: Any = None
) -> list[jax.Array]:
    """x_BTD: the input of the first layer, then the output of each layer."""
    trunk = restored.model.bind(restored.params).trunk
    x_BTD, place_BT = embed(trunk, inputs, segments_BT)
    stream = [x_BTD]
    for block in trunk.blocks():
        stream.append(block(stream[-1], place_BT))
    return stream


def size(x_XD: np.ndarray) -> float:
    """The mean norm of the vectors."""
    return float(np.linalg.norm(x_XD, axis=-1).mean())


def effective_rank(x_XD: np.ndarray) -> float:
    """exp of the entropy of the singular values around the mean, scaled to sum to one.

    From 1 to D: the number of directions that vary equally; NaN if none varies. Roy &
    Vetterli, 2007, The effective rank.
    """
    value_D = np.linalg.svd(_centred(x_XD), compute_uv=False)
    if value_D[0] <= 1e-12:
        return float("nan")
    share_D = value_D / value_D.sum()
    share_D = share_D[share_D > 0]
    return float(np.exp(-np.sum(share_D * np.log(share_D))))


def cka(x_XD: np.ndarray, y_XF: np.ndarray) -> float:
    """The similarity of two representations of the same positions, from 0 to 1.

    Linear CKA, |Y' X|^2 / (|X' X| |Y' Y|) around the means, which rotation and scale of
    either do not change (Kornblith et al., 2019, arXiv:1905.00414).
    """
    x_XD, y_XF = _centred(x_XD), _centred(y_XF)
    both = np.linalg.norm(y_XF.T @ x_XD) ** 2
    alone = np.linalg.norm(x_XD.T @ x_XD) * np.linalg.norm(y_XF.T @ y_XF)
    return float(both / alone) if alone > 0 else float("nan")


def _centred(x_XD: np.ndarray) -> np.ndarray:
    x_XD = np.asarray(x_XD, np.float64)
    return x_XD - x_XD.mean(axis=0, keepdims=True)
