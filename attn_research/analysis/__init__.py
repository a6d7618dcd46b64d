"""Pure functions that say what results and restored models mean.

    from attn_research import analysis, load

    restored = load("runs/first")
    tokens_T = analysis.tokens(restored, "What is mixed with what?")
    M_TS = analysis.mixing_matrix(restored, tokens_T, layer=1, head=0)

Every name below is imported when it is first used: `statistics` needs no JAX.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attn_research.analysis.gradients import (
        by_distance,
        decay,
        loss_energy,
        output_energy,
    )
    from attn_research.analysis.mixing import mixing_matrix
    from attn_research.analysis.opened import tokens, untrained
    from attn_research.analysis.receptive_field import furthest, radius, reachable

_PUBLIC = {
    "by_distance": "gradients",
    "decay": "gradients",
    "furthest": "receptive_field",
    "loss_energy": "gradients",
    "mixing_matrix": "mixing",
    "output_energy": "gradients",
    "radius": "receptive_field",
    "reachable": "receptive_field",
    "tokens": "opened",
    "untrained": "opened",
}
__all__ = [
    "by_distance",
    "decay",
    "furthest",
    "loss_energy",
    "mixing_matrix",
    "output_energy",
    "radius",
    "reachable",
    "tokens",
    "untrained",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
