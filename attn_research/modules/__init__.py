"""Sequence mixers under one contract (see `contract`). A new one is one line here."""

from attn_research import plugins
from attn_research.modules.attention import Attention
from attn_research.modules.attention_kinds import (
    DenseOptions,
    SelectionOptions,
    SparseOptions,
    WindowOptions,
)
from attn_research.modules.baseconv import BaseConv
from attn_research.modules.contract import MixerType, preset
from attn_research.modules.conv import Conv, Dilated
from attn_research.modules.delta import Delta
from attn_research.modules.diagonal import Diagonal
from attn_research.modules.differential import Differential
from attn_research.modules.hgrn2 import HGRN2
from attn_research.modules.hyena import Hyena
from attn_research.modules.linear import Linear
from attn_research.modules.low_rank import Linformer, Nystrom
from attn_research.modules.mamba import Mamba
from attn_research.modules.mamba2 import Mamba2
from attn_research.modules.mla import MLA
from attn_research.modules.mlstm import MLSTM
from attn_research.modules.modal import Modal
from attn_research.modules.plugged import check_entry
from attn_research.modules.recurrent import Recurrent
from attn_research.modules.reformer import Reformer
from attn_research.modules.rwkv4 import RWKV4
from attn_research.modules.rwkv6 import RWKV6
from attn_research.modules.rwkv7 import RWKV7
from attn_research.modules.ssm import S4D

_OURS: dict[str, MixerType] = {
    "dense": preset(Attention, DenseOptions),
    "window": preset(Attention, WindowOptions),
    "bigbird": preset(
        Attention, SparseOptions, window=96, globals=128, random=3, block=64
    ),
    "longformer": preset(Attention, SparseOptions, window=256, globals=1),
    "sparse_transformer": preset(Attention, SparseOptions, window=128, stride=128),
    "topk": preset(Attention, SelectionOptions, select="keys", count=32),
    "moba": preset(Attention, SelectionOptions, select="blocks", count=4, block=64),
    "mla": preset(MLA),
    "differential": preset(Differential),
    "linear": preset(Linear),
    "performer": preset(Linear, feature="random"),
    "based": preset(Linear, feature="taylor", key_size=16),
    "retnet": preset(
        Linear,
        heads=2,
        feature="identity",
        normalize=False,
        decay="fixed",
        gate="silu",
        positions="rope",
    ),
    "gla": preset(
        Linear,
        heads=2,
        feature="identity",
        normalize=False,
        decay="channel",
        gate="silu",
    ),
    "hgrn2": preset(HGRN2),
    "mamba2": preset(Mamba2),
    "delta": preset(Delta),
    "gated_delta": preset(Delta, decay=True, gate="silu"),
    "kda": preset(Delta, decay=True, channels=True, gate="sigmoid"),
    "gdn2": preset(
        Delta,
        decay=True,
        channels=True,
        erase="channel",
        write="channel",
        gate="sigmoid",
    ),
    "deltaproduct": preset(Delta, steps=2),
    "gated_deltaproduct": preset(Delta, steps=2, decay=True, gate="silu"),
    "comba": preset(Delta, decay=True, feedback=True, gate="sigmoid"),
    "rwkv4": preset(RWKV4),
    "rwkv6": preset(RWKV6),
    "rwkv7": preset(RWKV7),
    "mlstm": preset(MLSTM),
    "rnn": preset(Recurrent, cell="rnn"),
    "lstm": preset(Recurrent, cell="lstm"),
    "gru": preset(Recurrent, cell="gru"),
    "slstm": preset(Recurrent, cell="slstm", heads=4),
    "diagonal": preset(Diagonal),
    "rglru": preset(Diagonal, conv=4),
    "mingru": preset(Diagonal, kind="mingru", gate=False),
    "minlstm": preset(Diagonal, kind="minlstm", gate=False),
    "lru": preset(Modal, poles="ring"),
    "s4d": preset(S4D),
    "s5": preset(Modal, poles="hippo"),
    "mamba": preset(Mamba),
    "conv": preset(Conv),
    "dilated": preset(Dilated),
    "baseconv": preset(BaseConv),
    "hyena": preset(Hyena),
    "reformer": preset(Reformer),
    "linformer": preset(Linformer),
    "nystrom": preset(Nystrom),
}

MIXERS = plugins.table("MIXERS", _OURS, check_entry)

__all__ = ["MIXERS"]
