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
    from attn_research.analysis.ablation import ablations, without
    from attn_research.analysis.answers import binned, each_answer, rarity
    from attn_research.analysis.capacity import recalled
    from attn_research.analysis.context import loss_by_context, loss_by_mask, nearby
    from attn_research.analysis.gradients import (
        by_distance,
        decay,
        loss_energy,
        norms,
        output_energy,
    )
    from attn_research.analysis.heads import head_scores, repeated, shares
    from attn_research.analysis.lengths import at_lengths
    from attn_research.analysis.mixing import mixing_matrix
    from attn_research.analysis.opened import tokens, untrained
    from attn_research.analysis.pointing import pointed
    from attn_research.analysis.probes import bits, kept, planted
    from attn_research.analysis.receptive_field import (
        furthest,
        radius,
        reachable,
        spread,
    )
    from attn_research.analysis.representations import cka, effective_rank, streams

_PUBLIC = {
    "ablations": "ablation",
    "at_lengths": "lengths",
    "binned": "answers",
    "bits": "probes",
    "by_distance": "gradients",
    "cka": "representations",
    "decay": "gradients",
    "each_answer": "answers",
    "effective_rank": "representations",
    "furthest": "receptive_field",
    "head_scores": "heads",
    "kept": "probes",
    "loss_by_context": "context",
    "loss_by_mask": "context",
    "loss_energy": "gradients",
    "mixing_matrix": "mixing",
    "nearby": "context",
    "norms": "gradients",
    "output_energy": "gradients",
    "planted": "probes",
    "pointed": "pointing",
    "radius": "receptive_field",
    "rarity": "answers",
    "reachable": "receptive_field",
    "recalled": "capacity",
    "repeated": "heads",
    "shares": "heads",
    "spread": "receptive_field",
    "streams": "representations",
    "tokens": "opened",
    "untrained": "opened",
    "without": "ablation",
}
__all__ = [
    "ablations",
    "at_lengths",
    "binned",
    "bits",
    "by_distance",
    "cka",
    "decay",
    "each_answer",
    "effective_rank",
    "furthest",
    "head_scores",
    "kept",
    "loss_by_context",
    "loss_by_mask",
    "loss_energy",
    "mixing_matrix",
    "nearby",
    "norms",
    "output_energy",
    "planted",
    "pointed",
    "radius",
    "rarity",
    "reachable",
    "recalled",
    "repeated",
    "shares",
    "spread",
    "streams",
    "tokens",
    "untrained",
    "without",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
