"""Tasks: what a mixer is asked to carry over a distance. A new one is one line here."""

from attn_research.options import choose, spell
from attn_research.tasks.adding import Adding
from attn_research.tasks.arithmetic import ModularArithmetic
from attn_research.tasks.contract import SPLITS, Batch, Spec, Task
from attn_research.tasks.copying import Copying, SelectiveCopying
from attn_research.tasks.dyck import Dyck
from attn_research.tasks.flip_flop import FlipFlop
from attn_research.tasks.recall import Mqar, Recall
from attn_research.tasks.state_tracking import CycleNavigation, GroupWord, Parity
from attn_research.tasks.text import Text
from attn_research.tasks.transduction import BucketSort, Reverse, StackManipulation

TASKS: dict[str, type] = {
    "recall": Recall,
    "mqar": Mqar,
    "copying": Copying,
    "selective_copying": SelectiveCopying,
    "adding": Adding,
    "text": Text,
    "parity": Parity,
    "cycle_navigation": CycleNavigation,
    "group_word": GroupWord,
    "modular_arithmetic": ModularArithmetic,
    "flip_flop": FlipFlop,
    "dyck": Dyck,
    "reverse": Reverse,
    "bucket_sort": BucketSort,
    "stack_manipulation": StackManipulation,
}

__all__ = ["SPLITS", "TASKS", "Batch", "Spec", "Task", "make", "resolve"]


def make(spec: str) -> Task:
    """The task that a spec names; raises `BadInput` for what it does not know."""
    return choose(spec, TASKS, "task")


def resolve(spec: str) -> str:
    """The spec with every option written out, so that its hash hides no default."""
    task = make(spec)
    return spell(next(n for n, cls in TASKS.items() if cls is type(task)), task)
