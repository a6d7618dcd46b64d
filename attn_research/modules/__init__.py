"""Sequence mixers under one contract (see `contract`). A new one is one line here."""

from typing import Any

from attn_research.modules.contract import preset
from attn_research.modules.conv import Conv, Dilated
from attn_research.modules.dense import Dense
from attn_research.modules.diagonal import Diagonal
from attn_research.modules.linear import Linear
from attn_research.modules.low_rank import Linformer, Nystrom
from attn_research.modules.recurrent import Recurrent
from attn_research.modules.reformer import Reformer
from attn_research.modules.selection import Selection
from attn_research.modules.sparse import Sparse, Window

MIXERS: dict[str, Any] = {
    "dense": Dense,
    "window": Window,
    "bigbird": preset(Sparse, window=96, globals=128, random=3, block=64),
    "longformer": preset(Sparse, window=256, globals=1),
    "sparse_transformer": preset(Sparse, window=128, stride=128),
    "topk": preset(Selection, select="keys", count=32),
    "moba": preset(Selection, select="blocks", count=4, block=64),
    "linear": Linear,
    "diagonal": Diagonal,
    "conv": Conv,
    "dilated": Dilated,
    "rnn": preset(Recurrent, cell="rnn"),
    "lstm": preset(Recurrent, cell="lstm"),
    "gru": preset(Recurrent, cell="gru"),
    "slstm": preset(Recurrent, cell="slstm", heads=4),
    "reformer": Reformer,
    "linformer": Linformer,
    "nystrom": Nystrom,
}

# Without a causal form: an output mixes all positions before any mask could tell.
BOTH_WAYS_ONLY: frozenset[str] = frozenset({"linformer", "nystrom"})

__all__ = ["BOTH_WAYS_ONLY", "MIXERS"]
