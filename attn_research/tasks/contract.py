"""The contract of a task: what it asks of a model, and its batches."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import jax

from attn_research.options import BadInput

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


class Batch(NamedTuple):
    """What a model sees, what it should answer, and where the answer comes from.

    `inputs` is tokens_BT (int32) or values_BTF (float32). For a target per position,
    `targets`, `weights` and `gap` have shape BT; for one per sequence, B. `weights`
    says which targets count. `segments` is BT: 0 padding, 1, 2, ... packed sequences.
    `gap` is the distance in tokens from a target back to the information that decides
    it, -1 where unknown.
    """

    inputs: jax.Array
    targets: jax.Array
    weights: jax.Array
    segments: jax.Array
    gap: jax.Array


@dataclass(frozen=True)
class Spec:
    """What a task asks of a model; a model is built from this alone.

    `features` is the vocabulary of tokens or the number of channels of values;
    `outputs` the number of classes predicted or of real values regressed. A target is
    one token or value per position, or one class or value per sequence. `labels` is
    the largest number of positions of a sequence with a weight: the head is evaluated
    there only. The first of `metrics` is the headline; `chance` is what the trivial
    answer reaches in it.
    """

    inputs: Literal["tokens", "values"]
    features: int
    target: Literal["token", "value", "class"]
    outputs: int
    length: int
    causal: bool
    labels: int
    metrics: tuple[str, ...]
    per_sequence: bool = False
    chance: float | None = None

    @property
    def goal(self) -> Literal["max", "min"]:
        """Whether a good headline is large or small."""
        return "max" if self.metrics[0] == "accuracy" else "min"


class Task(Protocol):
    """A frozen dataclass of options with a spec and batches.

    `batch` is pure and traceable: the same key, split and size give the same batch.
    Different splits never share a key or a stretch of data.
    """

    @property
    def spec(self) -> Spec: ...

    def arrays(self) -> Any:
        """Data that batches are gathered from; () for a generated task."""
        ...

    def batch(
        self, key: jax.Array, split: Split, size: int, arrays: Any = ()
    ) -> Batch: ...


def split_key(key: jax.Array, split: Split) -> jax.Array:
    """The key of one split: batches of different splits are drawn from other keys."""
    if split not in SPLITS:
        raise BadInput(f"Unknown split {split!r}; known are {', '.join(SPLITS)}")
    return jax.random.fold_in(key, SPLITS.index(split))
