"""The task that pretrains a model on the texts of another task."""

from typing import Literal, get_args

from attn_research.options import BadInput, parse, spell, unknown

Kind = Literal["masked", "causal"]
KINDS: tuple[Kind, ...] = get_args(Kind)
# What a task reads of its data set, and what of a task says which texts it has.
READS = {"classification": "text", "pronouns": "text", "question_answering": "context"}
TEXTS = ("text", "masked_text", "code")
SOURCE = ("path", "suffix", "data", "feature", "data_dir", "subwords", "length")


def spec(task: str, kind: str) -> str:
    """Masked or causal language modelling of the texts of a resolved task.

    As long as its examples are. Raises `BadInput` where it reads no texts, or those of
    two kinds in two trunks.
    """
    if kind not in KINDS:
        raise unknown("kind of pretraining", kind, KINDS)
    name, options = parse(task)
    if name not in (*READS, *TEXTS):
        raise BadInput(
            f"{name} reads no one text to pretrain on; {', '.join((*READS, *TEXTS))} do"
        )
    own = {key: options[key] for key in SOURCE if key in options}
    if name in READS:
        own["feature"] = READS[name]
    return spell("masked_text" if kind == "masked" else "text", own)
