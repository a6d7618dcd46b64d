"""Tasks: the information that a mixer must carry over a distance. One line for each."""

from attn_research import plugins
from attn_research.ops.explained import adopt
from attn_research.options.specs import choose, spell
from attn_research.tasks.adding import Adding
from attn_research.tasks.arithmetic import ModularArithmetic
from attn_research.tasks.audio import AudioClassification
from attn_research.tasks.captioning import Captioning
from attn_research.tasks.classification import Classification
from attn_research.tasks.code import Code
from attn_research.tasks.contract import (
    SPLITS,
    Batch,
    Completing,
    Finite,
    Noted,
    Spec,
    Stored,
    Task,
    completing,
    finite,
    noted,
    stored,
)
from attn_research.tasks.copying import Copying, SelectiveCopying
from attn_research.tasks.coreference import Coreference
from attn_research.tasks.dyck import Dyck
from attn_research.tasks.flip_flop import FlipFlop
from attn_research.tasks.forecasting import Forecasting
from attn_research.tasks.fuzzy_recall import FuzzyRecall
from attn_research.tasks.images import ImageClassification, ImageGeneration
from attn_research.tasks.induction import Induction
from attn_research.tasks.listops import ListOps
from attn_research.tasks.mad import (
    MadCompression,
    MadFuzzyRecall,
    MadMemorization,
    MadNoisyRecall,
    MadRecall,
    MadSelectiveCopying,
)
from attn_research.tasks.masked import MaskedText
from attn_research.tasks.multi_hop_recall import MultiHopRecall
from attn_research.tasks.needle import Needle
from attn_research.tasks.ngram import InContextNgram, Ngram
from attn_research.tasks.noisy_recall import NoisyRecall
from attn_research.tasks.pathfinder import Pathfinder
from attn_research.tasks.plugged import check_entry
from attn_research.tasks.pronouns import Pronouns
from attn_research.tasks.questions import QuestionAnswering
from attn_research.tasks.recall import Mqar, Recall
from attn_research.tasks.spoken import SpokenStrings
from attn_research.tasks.state_tracking import CycleNavigation, GroupWord, Parity
from attn_research.tasks.summarisation import Summarisation
from attn_research.tasks.temporal_order import TemporalOrder
from attn_research.tasks.text import Text
from attn_research.tasks.transduction import BucketSort, Reverse, StackManipulation
from attn_research.tasks.translation import Translation
from attn_research.tasks.variable_tracking import VariableTracking

_OURS: dict[str, type[Task]] = {
    "recall": Recall,
    "mqar": Mqar,
    "noisy_recall": NoisyRecall,
    "fuzzy_recall": FuzzyRecall,
    "multi_hop_recall": MultiHopRecall,
    "mad_recall": MadRecall,
    "mad_noisy_recall": MadNoisyRecall,
    "mad_fuzzy_recall": MadFuzzyRecall,
    "mad_selective_copying": MadSelectiveCopying,
    "mad_compression": MadCompression,
    "mad_memorization": MadMemorization,
    "copying": Copying,
    "selective_copying": SelectiveCopying,
    "adding": Adding,
    "temporal_order": TemporalOrder,
    "induction": Induction,
    "ngram": Ngram,
    "in_context_ngram": InContextNgram,
    "text": Text,
    "masked_text": MaskedText,
    "code": Code,
    "classification": Classification,
    "question_answering": QuestionAnswering,
    "pronouns": Pronouns,
    "translation": Translation,
    "summarisation": Summarisation,
    "captioning": Captioning,
    "image_classification": ImageClassification,
    "image_generation": ImageGeneration,
    "audio_classification": AudioClassification,
    "spoken_strings": SpokenStrings,
    "forecasting": Forecasting,
    "parity": Parity,
    "cycle_navigation": CycleNavigation,
    "group_word": GroupWord,
    "modular_arithmetic": ModularArithmetic,
    "flip_flop": FlipFlop,
    "dyck": Dyck,
    "reverse": Reverse,
    "bucket_sort": BucketSort,
    "stack_manipulation": StackManipulation,
    "listops": ListOps,
    "pathfinder": Pathfinder,
    "needle": Needle,
    "variable_tracking": VariableTracking,
    "coreference": Coreference,
}

for _task in _OURS.values():
    adopt(_task, Task, Noted, Stored, Finite, Completing)

TASKS = plugins.table("TASKS", _OURS, check_entry)

__all__ = [
    "SPLITS",
    "TASKS",
    "Batch",
    "Spec",
    "Task",
    "completing",
    "finite",
    "make",
    "noted",
    "resolve",
    "stored",
]


def make(spec: str) -> Task:
    """The task that a spec names; raises `BadInput` for unknown names and options."""
    return choose(spec, TASKS, "task")


def resolve(spec: str) -> str:
    """The spec with every option written out, so that its hash covers the defaults."""
    task = make(spec)
    return spell(next(n for n, cls in TASKS.items() if cls is type(task)), task)
