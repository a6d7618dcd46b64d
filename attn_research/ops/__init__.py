"""The mathematics of mixers: pure functions of arrays.

    from attn_research import ops

    out_BTHE = ops.attention(q_BTHK, k_BTGK, v_BTGE, mask=ops.CAUSAL)

Every name below is imported when it is first used. An op taken from here checks the
shapes of its arrays (see `shapes`), and `help` of it says what each of them is.
"""

import importlib
import inspect
from typing import TYPE_CHECKING, Any

from attn_research.ops.explained import MEANINGS, explain

if TYPE_CHECKING:
    from attn_research.ops.cells import (
        gru_cell,
        lstm_cell,
        rnn_cell,
        scan_cell,
        slstm_cell,
        step_cell,
    )
    from attn_research.ops.convolution import depthwise_convolution, dilated_convolution
    from attn_research.ops.delta import (
        delta_rule,
        delta_start,
        delta_step,
        generalized_delta_rule,
        generalized_delta_step,
    )
    from attn_research.ops.dense import attention
    from attn_research.ops.fading_average import wkv, wkv_start, wkv_step
    from attn_research.ops.features import (
        elu_plus_one,
        hedgehog,
        log_elu_plus_one,
        log_hedgehog,
        log_random_positive,
        log_squared_relu,
        random_positive,
        squared_relu,
        taylor,
    )
    from attn_research.ops.fft import long_convolution
    from attn_research.ops.flash import flash_attention
    from attn_research.ops.kernels.splash import splash_attention
    from attn_research.ops.linear.attention import (
        linear_attention,
        linear_start,
        linear_step,
    )
    from attn_research.ops.linear.bonus import bonus_attention, bonus_step
    from attn_research.ops.linformer import linformer_attention
    from attn_research.ops.logits import Logits, alibi
    from attn_research.ops.lsh import lsh_attention, lsh_step
    from attn_research.ops.masks import CAUSAL, FULL, Band, window
    from attn_research.ops.mel import mel_frames
    from attn_research.ops.mlstm import matrix_lstm, mlstm_start, mlstm_step
    from attn_research.ops.norm import layer_norm, rms_norm
    from attn_research.ops.nystrom import nystrom_attention
    from attn_research.ops.patterns import Globals, Local, Random, Stride
    from attn_research.ops.positions import Rope, rope, sinusoid
    from attn_research.ops.recurrence import diagonal_recurrence
    from attn_research.ops.selection import Best, Blocks, selected_attention
    from attn_research.ops.selective import selective_scan, selective_step
    from attn_research.ops.sparse import sparse_attention
    from attn_research.ops.ssm import state_space, state_space_step

_PUBLIC = {
    "Band": "masks",
    "Best": "selection",
    "Blocks": "selection",
    "CAUSAL": "masks",
    "FULL": "masks",
    "Globals": "patterns",
    "Local": "patterns",
    "Logits": "logits",
    "Random": "patterns",
    "Rope": "positions",
    "Stride": "patterns",
    "alibi": "logits",
    "attention": "dense",
    "bonus_attention": "linear.bonus",
    "bonus_step": "linear.bonus",
    "delta_rule": "delta",
    "delta_start": "delta",
    "delta_step": "delta",
    "depthwise_convolution": "convolution",
    "diagonal_recurrence": "recurrence",
    "dilated_convolution": "convolution",
    "elu_plus_one": "features",
    "flash_attention": "flash",
    "generalized_delta_rule": "delta",
    "generalized_delta_step": "delta",
    "gru_cell": "cells",
    "hedgehog": "features",
    "layer_norm": "norm",
    "linear_attention": "linear.attention",
    "linear_start": "linear.attention",
    "linear_step": "linear.attention",
    "linformer_attention": "linformer",
    "log_elu_plus_one": "features",
    "log_hedgehog": "features",
    "log_random_positive": "features",
    "log_squared_relu": "features",
    "long_convolution": "fft",
    "lsh_attention": "lsh",
    "lsh_step": "lsh",
    "lstm_cell": "cells",
    "matrix_lstm": "mlstm",
    "mel_frames": "mel",
    "mlstm_start": "mlstm",
    "mlstm_step": "mlstm",
    "nystrom_attention": "nystrom",
    "random_positive": "features",
    "rms_norm": "norm",
    "rnn_cell": "cells",
    "rope": "positions",
    "scan_cell": "cells",
    "selected_attention": "selection",
    "selective_scan": "selective",
    "selective_step": "selective",
    "sinusoid": "positions",
    "slstm_cell": "cells",
    "sparse_attention": "sparse",
    "splash_attention": "kernels.splash",
    "squared_relu": "features",
    "state_space": "ssm",
    "state_space_step": "ssm",
    "step_cell": "cells",
    "taylor": "features",
    "window": "masks",
    "wkv": "fading_average",
    "wkv_start": "fading_average",
    "wkv_step": "fading_average",
}
__all__ = [
    "Band",
    "Best",
    "Blocks",
    "CAUSAL",
    "FULL",
    "Globals",
    "Local",
    "Logits",
    "Random",
    "Rope",
    "Stride",
    "alibi",
    "attention",
    "bonus_attention",
    "bonus_step",
    "delta_rule",
    "delta_start",
    "delta_step",
    "depthwise_convolution",
    "diagonal_recurrence",
    "dilated_convolution",
    "elu_plus_one",
    "flash_attention",
    "generalized_delta_rule",
    "generalized_delta_step",
    "gru_cell",
    "hedgehog",
    "layer_norm",
    "linear_attention",
    "linear_start",
    "linear_step",
    "linformer_attention",
    "log_elu_plus_one",
    "log_hedgehog",
    "log_random_positive",
    "log_squared_relu",
    "long_convolution",
    "lsh_attention",
    "lsh_step",
    "lstm_cell",
    "matrix_lstm",
    "mel_frames",
    "mlstm_start",
    "mlstm_step",
    "nystrom_attention",
    "random_positive",
    "rms_norm",
    "rnn_cell",
    "rope",
    "scan_cell",
    "selected_attention",
    "selective_scan",
    "selective_step",
    "sinusoid",
    "slstm_cell",
    "sparse_attention",
    "splash_attention",
    "squared_relu",
    "state_space",
    "state_space_step",
    "step_cell",
    "taylor",
    "window",
    "wkv",
    "wkv_start",
    "wkv_step",
]

REFUSAL = (
    "ValueError, which names the array and what it must be, for one with other axes, "
    "of another size than its neighbours, empty, or not of real numbers."
)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    if not inspect.isfunction(found):
        return found
    from attn_research.ops.shapes import shaped

    checked = globals()[name] = shaped(found)
    checked.__doc__ = explain(found, MEANINGS, REFUSAL if checked is not found else "")
    return checked


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
