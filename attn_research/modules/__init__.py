"""Sequence mixers under one contract (see `contract`). A new one is one line here."""

from typing import Any

from attn_research.modules.conv import Conv, Dilated
from attn_research.modules.dense import Dense
from attn_research.modules.diagonal import Diagonal
from attn_research.modules.linear import Linear
from attn_research.modules.recurrent import GRU, LSTM
from attn_research.modules.sparse import Window

MIXERS: dict[str, Any] = {
    "dense": Dense,
    "window": Window,
    "linear": Linear,
    "lstm": LSTM,
    "gru": GRU,
    "diagonal": Diagonal,
    "conv": Conv,
    "dilated": Dilated,
}

# Without a causal form: an output mixes all positions before any mask could tell.
BOTH_WAYS_ONLY: frozenset[str] = frozenset()

__all__ = ["BOTH_WAYS_ONLY", "MIXERS"]
