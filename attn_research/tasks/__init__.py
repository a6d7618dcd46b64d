"""Tasks: what a mixer is asked to carry over a distance. A new one is one line here."""

from attn_research.options import choose, spell
from attn_research.tasks.adding import Adding
from attn_research.tasks.audio import AudioClassification, SpokenStrings
from attn_research.tasks.classification import Classification
from attn_research.tasks.contract import SPLITS, Batch, Spec, Task, finite
from attn_research.tasks.copying import Copying, SelectiveCopying
from attn_research.tasks.forecasting import Forecasting
from attn_research.tasks.images import ImageClassification, ImageGeneration
from attn_research.tasks.masked import MaskedText
from attn_research.tasks.questions import QuestionAnswering
from attn_research.tasks.recall import Mqar, Recall
from attn_research.tasks.text import Text
from attn_research.tasks.translation import Summarisation, Translation

TASKS: dict[str, type] = {
    "recall": Recall,
    "mqar": Mqar,
    "copying": Copying,
    "selective_copying": SelectiveCopying,
    "adding": Adding,
    "text": Text,
    "masked_text": MaskedText,
    "classification": Classification,
    "question_answering": QuestionAnswering,
    "translation": Translation,
    "summarisation": Summarisation,
    "image_classification": ImageClassification,
    "image_generation": ImageGeneration,
    "audio_classification": AudioClassification,
    "spoken_strings": SpokenStrings,
    "forecasting": Forecasting,
}

__all__ = ["SPLITS", "TASKS", "Batch", "Spec", "Task", "finite", "make", "resolve"]


def make(spec: str) -> Task:
    """The task that a spec names; raises `BadInput` for what it does not know."""
    return choose(spec, TASKS, "task")


def resolve(spec: str) -> str:
    """The spec with every option written out, so that its hash hides no default."""
    task = make(spec)
    return spell(next(n for n, cls in TASKS.items() if cls is type(task)), task)
