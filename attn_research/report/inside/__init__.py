"""What is inside of a trained model, as figures: one entry of `ANALYSES` for each.

Every analysis takes a `Subject`, and says what is to be drawn, with a small table under
each figure; so it can be kept (`kept`) and compared with others (`compared`). One
that does not exist for a model raises `BadInput`, in a sentence.
"""

from attn_research.report.inside.answers import answers, lengths
from attn_research.report.inside.contract import Analysis, Shown, drawn
from attn_research.report.inside.inner import (
    capacity,
    dynamics,
    memory,
    representations,
)
from attn_research.report.inside.mixing import mixing
from attn_research.report.inside.parts import ablation, context, heads
from attn_research.report.inside.reach import gradients, receptive_field
from attn_research.report.inside.sentences import sentence

__all__ = ["ANALYSES", "Analysis", "Shown", "drawn"]

ANALYSES: dict[str, Analysis] = {
    "mixing": Analysis(
        "The matrix by which each mixer mixes the tokens of a sequence.", mixing
    ),
    "sentence": Analysis("What each word of a text looks at, by head.", sentence),
    "heads": Analysis("What the heads of each mixer look at.", heads),
    "receptive_field": Analysis(
        "How far what an output depends on can be, and how far it is.", receptive_field
    ),
    "gradients": Analysis(
        "How the gradient falls with the distance, and how fast.", gradients
    ),
    "ablation": Analysis(
        "What the loss is without a layer, a mixer or a head.", ablation
    ),
    "answers": Analysis(
        "How well answers are known, by distance, by position and by how rare they "
        "are.",
        answers,
    ),
    "lengths": Analysis(
        "How well answers are known in shorter and longer sequences than in training.",
        lengths,
    ),
    "context": Analysis(
        "What the loss is where only so many tokens back can be seen.", context
    ),
    "memory": Analysis("How long a planted fact is kept, in bits.", memory),
    "capacity": Analysis("How many pairs are recalled with what state.", capacity),
    "representations": Analysis(
        "How large, how rich and how alike the representations of the layers are.",
        representations,
    ),
    "dynamics": Analysis(
        "How long the states of recurrent mixers last, and how their gates stand.",
        dynamics,
    ),
}
