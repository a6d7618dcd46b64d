"""Pure functions that analyse results and restored models.

    from attn_research import analysis, load

    restored = load("runs/first")
    tokens_T = analysis.tokens(restored, "What is mixed with what?")
    M_TS = analysis.mixing_matrix(restored, tokens_T, layer=1, head=0)

Every name below is imported when it is first used: `statistics` needs no JAX.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attn_research.analysis.ablation import ablate, ablations
    from attn_research.analysis.answers import bin_means, each_answer, rarity
    from attn_research.analysis.capacity import recalled_pairs
    from attn_research.analysis.context import (
        limit_reach,
        loss_by_context,
        loss_by_mask,
    )
    from attn_research.analysis.gradients import (
        by_distance,
        decay,
        loss_energy,
        norms,
        output_energy,
    )
    from attn_research.analysis.heads import head_scores, repeated_tokens, shares
    from attn_research.analysis.layers import tokens, untrained
    from attn_research.analysis.lengths import at_lengths
    from attn_research.analysis.mixing import mixing_matrix
    from attn_research.analysis.pointing import head_pointing
    from attn_research.analysis.probes import bits, bits_by_delay, plant
    from attn_research.analysis.receptive_field import (
        furthest,
        radius,
        reachable,
        spread,
    )
    from attn_research.analysis.representations import cka, effective_rank, streams

_PUBLIC = {
    "ablate": "ablation",
    "ablations": "ablation",
    "at_lengths": "lengths",
    "bin_means": "answers",
    "bits": "probes",
    "bits_by_delay": "probes",
    "by_distance": "gradients",
    "cka": "representations",
    "decay": "gradients",
    "each_answer": "answers",
    "effective_rank": "representations",
    "furthest": "receptive_field",
    "head_pointing": "pointing",
    "head_scores": "heads",
    "limit_reach": "context",
    "loss_by_context": "context",
    "loss_by_mask": "context",
    "loss_energy": "gradients",
    "mixing_matrix": "mixing",
    "norms": "gradients",
    "output_energy": "gradients",
    "plant": "probes",
    "radius": "receptive_field",
    "rarity": "answers",
    "reachable": "receptive_field",
    "recalled_pairs": "capacity",
    "repeated_tokens": "heads",
    "shares": "heads",
    "spread": "receptive_field",
    "streams": "representations",
    "tokens": "layers",
    "untrained": "layers",
}
__all__ = [
    "ablate",
    "ablations",
    "at_lengths",
    "bin_means",
    "bits",
    "bits_by_delay",
    "by_distance",
    "cka",
    "decay",
    "each_answer",
    "effective_rank",
    "furthest",
    "head_pointing",
    "head_scores",
    "limit_reach",
    "loss_by_context",
    "loss_by_mask",
    "loss_energy",
    "mixing_matrix",
    "norms",
    "output_energy",
    "plant",
    "radius",
    "rarity",
    "reachable",
    "recalled_pairs",
    "repeated_tokens",
    "shares",
    "spread",
    "streams",
    "tokens",
    "untrained",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from attn_research.analysis.explained import AXES, MEANINGS
    from attn_research.ops.explained import explain

    found = getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    found.__doc__ = explain(found, MEANINGS, axes=AXES)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *_PUBLIC])
