"""Sequence mixers under one contract (see `contract`). A new one is one line here."""

from typing import Any

from attn_research.modules.baseconv import BaseConv
from attn_research.modules.contract import preset
from attn_research.modules.conv import Conv, Dilated
from attn_research.modules.delta import Delta
from attn_research.modules.dense import Dense
from attn_research.modules.diagonal import Diagonal
from attn_research.modules.hyena import Hyena
from attn_research.modules.linear import Linear
from attn_research.modules.low_rank import Linformer, Nystrom
from attn_research.modules.mamba import Mamba
from attn_research.modules.mamba2 import Mamba2
from attn_research.modules.mlstm import MLSTM
from attn_research.modules.modal import Modal
from attn_research.modules.recurrent import Recurrent
from attn_research.modules.reformer import Reformer
from attn_research.modules.selection import Selection
from attn_research.modules.sparse import Sparse, Window
from attn_research.modules.ssm import S4D

MIXERS: dict[str, Any] = {
    "dense": Dense,
    "window": Window,
    "bigbird": preset(Sparse, window=96, globals=128, random=3, block=64),
    "longformer": preset(Sparse, window=256, globals=1),
    "sparse_transformer": preset(Sparse, window=128, stride=128),
    "topk": preset(Selection, select="keys", count=32),
    "moba": preset(Selection, select="blocks", count=4, block=64),
    "linear": Linear,
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
    "mamba2": Mamba2,
    "delta": Delta,
    "gated_delta": preset(Delta, decay=True, gate="silu"),
    "mlstm": MLSTM,
    "rnn": preset(Recurrent, cell="rnn"),
    "lstm": preset(Recurrent, cell="lstm"),
    "gru": preset(Recurrent, cell="gru"),
    "slstm": preset(Recurrent, cell="slstm", heads=4),
    "diagonal": Diagonal,
    "rglru": preset(Diagonal, conv=4),
    "mingru": preset(Diagonal, kind="mingru", gate=False),
    "minlstm": preset(Diagonal, kind="minlstm", gate=False),
    "lru": preset(Modal, poles="ring"),
    "s4d": S4D,
    "s5": preset(Modal, poles="hippo"),
    "mamba": Mamba,
    "conv": Conv,
    "dilated": Dilated,
    "baseconv": BaseConv,
    "hyena": Hyena,
    "reformer": Reformer,
    "linformer": Linformer,
    "nystrom": Nystrom,
}

# Without a causal form: an output mixes all positions before any mask could tell.
BOTH_WAYS_ONLY: frozenset[str] = frozenset({"linformer", "nystrom"})

__all__ = ["BOTH_WAYS_ONLY", "MIXERS"]
