"""The inside of a trained model, as figures: one entry of `ANALYSES` for each analysis.

Every analysis takes a `Subject`, and returns the figures to draw with a small table
under each; so it can be cached (`encoding`) and compared with others (`comparison`). An
analysis that does not apply to a model raises `BadInput` with a sentence.
"""

from typing import Any

from attn_research import plugins
from attn_research.report.inside.answers import show_answers, show_lengths
from attn_research.report.inside.contract import Analysis, Display, draw
from attn_research.report.inside.dynamics import show_dynamics
from attn_research.report.inside.mixing import show_mixing
from attn_research.report.inside.parts import show_ablation, show_context, show_heads
from attn_research.report.inside.reach import show_gradients, show_receptive_field
from attn_research.report.inside.sentences import show_sentence
from attn_research.report.inside.states import (
    show_capacity,
    show_memory,
    show_representations,
)

__all__ = ["ANALYSES", "Analysis", "Display", "draw"]


def _check(name: str, entry: Any) -> str | None:
    """What is wrong with an analysis of a plugin."""
    if not isinstance(entry, Analysis) or not callable(entry.show):
        return f"the analysis {name!r} is {entry!r}; it must be an inside.Analysis"
    return None


_OURS: dict[str, Analysis] = {
    "mixing": Analysis(
        "The matrix by which each mixer mixes the tokens of a sequence.", show_mixing
    ),
    "sentence": Analysis(
        "The words that each word of a text looks at, by head.", show_sentence
    ),
    "heads": Analysis("What the heads of each mixer look at.", show_heads),
    "receptive_field": Analysis(
        "How far back an output can depend on the input, and how far it does.",
        show_receptive_field,
    ),
    "gradients": Analysis(
        "How the gradient falls with the distance, and at what rate.", show_gradients
    ),
    "ablation": Analysis("The loss without a layer, a mixer or a head.", show_ablation),
    "answers": Analysis(
        "The loss and the score of answers by distance, position and rarity.",
        show_answers,
    ),
    "lengths": Analysis(
        "The loss and the score in shorter and longer sequences than in training.",
        show_lengths,
    ),
    "context": Analysis(
        "The loss if the model sees only a limited number of tokens back.",
        show_context,
    ),
    "memory": Analysis(
        "How long the model remembers a planted fact, in bits.", show_memory
    ),
    "capacity": Analysis(
        "The number of pairs that the model recalls, and the size of its state.",
        show_capacity,
    ),
    "representations": Analysis(
        "The norm, the effective rank and the similarity of the layers' outputs.",
        show_representations,
    ),
    "dynamics": Analysis(
        "How long the states of recurrent mixers last, and how open their gates are.",
        show_dynamics,
    ),
}

ANALYSES = plugins.table("ANALYSES", _OURS, _check)
