"""The task that pretrains a model on the texts of another task."""

from typing import Literal, get_args

from attn_research.options import BadInput, unknown
from attn_research.options.specs import parse, spell

Kind = Literal["masked", "causal"]
KINDS: tuple[Kind, ...] = get_args(Kind)
# The feature of its data set that a task reads; tasks whose options name texts; the
# options that do.
READS = {"classification": "text", "pronouns": "text", "question_answering": "context"}
TEXTS = ("text", "masked_text", "code")
SOURCE = ("path", "suffix", "data", "feature", "data_dir", "subwords", "length")


def spec(task: str, kind: str) -> str:
    """Masked or causal language modelling of a resolved task's texts, at its length.

    Raises `BadInput` if the task reads no text, or reads and writes with two trunks.
    """
    if kind not in KINDS:
        raise unknown("kind of pretraining", kind, KINDS)
    name, options = parse(task)
    if name not in (*READS, *TEXTS):
        raise BadInput(
            f"{name} has no text to pretrain on; the task must be one of "
            f"{', '.join((*READS, *TEXTS))}"
        )
    own = {key: options[key] for key in SOURCE if key in options}
    if name in READS:
        own["feature"] = READS[name]
    return spell("masked_text" if kind == "masked" else "text", own)
