"""The contract of a task: what it asks of a model, and its batches."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, TypeGuard

import jax
import jax.numpy as jnp

from attn_research.losses import Target
from attn_research.options import BadInput

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


class Batch(NamedTuple):
    """What a model sees, what it should answer, and where the answer comes from.

    `inputs` is tokens_BT (int32) or values_BTF (float32). For a target per position,
    `weights` and `gap` have shape BT; for one per sequence, B. `targets` has the same
    shape, with an axis more for values of several channels, spans (first and last
    position) and strings (symbols from 1 on, 0 after the last). `weights` says which
    targets count. `segments` is BT: 0 padding, 1, 2, ... packed sequences. `gap` is the
    distance in tokens from a target back to the information that decides it, -1 where
    unknown. A task of two sequences also has the one that is read, of another length.
    `bytes` is how many bytes each target stands for, None where that is one. `group`, B
    (int32), is which of the `groups` of its spec a row belongs to, None where it has
    none.
    """

    inputs: jax.Array
    targets: jax.Array
    weights: jax.Array
    segments: jax.Array
    gap: jax.Array
    source: jax.Array | None = None
    source_segments: jax.Array | None = None
    bytes: jax.Array | None = None
    group: jax.Array | None = None


@dataclass(frozen=True)
class Spec:
    """What a task asks of a model; a model is built from this alone.

    `features` is the vocabulary of tokens or the number of channels of values;
    `outputs` the number of classes predicted or of real values regressed. A target is
    one token or value per position, or one class, value, span or string per sequence.
    `labels` is the largest number of positions of a sequence with a weight: the head is
    evaluated there only; a span that is answered has `longest` positions at most, if
    that is above 0. The first of `metrics` is the headline; `chance` is what the
    trivial answer reaches in it. `source_features` above 0 asks for an encoder-decoder
    whose source has `source_length` positions; of what it writes no stretch of
    `unrepeated` tokens stands twice, if that is above 0. Where `finite`, the splits are
    sets whose examples have numbers: the task is a `Finite` one. `names` are those of
    the classes, or of the symbols of a string, from 1 on. With `subwords` tokens are
    those of `data.subwords`: the column `pieces` of the arrays has the bytes of each.
    `picture` is the height, width and channels of an image whose bytes, in reading
    order, are the tokens that are asked for or the values, in [-1, 1], that are read.
    `groups` are the names of the kinds of examples that the test tells apart: who
    speaks, say. Where it `completes`, the test asks for stretches of text as a whole:
    the task is a `Completing` one. Where it is `noted`, there is something to say of
    its data: the task is a `Noted` one, as every finite one is.
    """

    inputs: Literal["tokens", "values"]
    features: int
    target: Target
    outputs: int
    length: int
    causal: bool
    labels: int
    metrics: tuple[str, ...]
    per_sequence: bool = False
    longest: int = 0
    chance: float | None = None
    source_inputs: Literal["tokens", "values"] = "tokens"
    source_features: int = 0
    source_length: int = 0
    unrepeated: int = 0
    finite: bool = False
    names: tuple[str, ...] = ()
    subwords: bool = False
    picture: tuple[int, int, int] | None = None
    groups: tuple[str, ...] = ()
    completes: bool = False
    noted: bool = False

    @property
    def goal(self) -> Literal["max", "min"]:
        """Whether a good headline is large or small."""
        return "max" if self.metrics[0] in ("accuracy", "exact_match", "f1") else "min"


class Task(Protocol):
    """A frozen dataclass of options with a spec and batches.

    `batch` is pure and traceable: the same key, split and size give the same batch.
    `split` is a name or its (traced) index in `SPLITS`; different splits never share a
    random stream or a stretch of data.
    """

    @property
    def spec(self) -> Spec: ...

    def arrays(self) -> Any:
        """Data that batches are gathered from; () for a generated task."""
        ...

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: Any = ()
    ) -> Batch: ...


class Noted(Task, Protocol):
    """A task that can say how it reads its data."""

    def notes(self, arrays: Any) -> list[str]:
        """A sentence each on what of the data is not read, and what is padding."""
        ...


class Finite(Noted, Protocol):
    """A task whose splits are sets: evaluation sees each example once."""

    def count(self, split: Split | jax.Array, arrays: Any) -> jax.Array:
        """The number of examples of a split."""
        ...

    def examples(
        self, index_B: jax.Array, split: Split | jax.Array, arrays: Any
    ) -> Batch:
        """The examples of these numbers, from 0 to the count - 1."""
        ...


class Completing(Task, Protocol):
    """A task of bytes whose test also has prompts that end before what is asked for."""

    def completions(self, index_B: jax.Array, arrays: Any) -> Batch:
        """The prompts of these numbers and what follows each: inputs and targets.

        Zeros fill the rows; weights are 0 where there is no such prompt.
        """
        ...


def completing(task: Task) -> TypeGuard[Completing]:
    """Whether the test of a task has prompts to complete."""
    return task.spec.completes


def noted(task: Task) -> TypeGuard[Noted]:
    """Whether there is something to say of a task's data."""
    return task.spec.noted or task.spec.finite


def finite(task: Task) -> TypeGuard[Finite]:
    """Whether the splits of a task are sets."""
    return task.spec.finite


def drawn(
    task: Finite, key: jax.Array, split: Split | jax.Array, size: int, arrays: Any
) -> Batch:
    """A batch of examples drawn with replacement: `batch` of a finite task."""
    count = task.count(split, arrays)
    index_B1 = Draws(key, split, size, 1).integers(1, count)
    return task.examples(index_B1[:, 0], split, arrays)


def split_index(split: Split | jax.Array) -> int | jax.Array:
    """The place of a split in `SPLITS`; an index, traced or not, stays what it is."""
    if not isinstance(split, str):
        return split
    if split not in SPLITS:
        raise BadInput(f"Unknown split {split!r}; known are {', '.join(SPLITS)}")
    return SPLITS.index(split)


class Draws:
    """Random numbers for the rows of a batch, all from one call of the generator.

    A program that calls the generator once compiles seconds sooner than one that calls
    it for every quantity. Each method takes the next columns.
    """

    def __init__(
        self, key: jax.Array, split: Split | jax.Array, rows: int, columns: int
    ):
        # Another key for another split: their batches are drawn independently.
        key = jax.random.fold_in(key, split_index(split))
        self._bits = jax.random.bits(key, (rows, columns), jnp.uint32)
        self._next = 0

    @property
    def rows(self) -> int:
        """The number of rows, B."""
        return self._bits.shape[0]

    def bits(self, count: int) -> jax.Array:
        """32 random bits, as uint32, in `count` columns."""
        low, self._next = self._next, self._next + count
        if self._next > self._bits.shape[1]:
            raise ValueError(
                f"{self._next} columns are drawn; there are {self._bits.shape[1]}"
            )
        return self._bits[:, low : self._next]

    def uniform(self, count: int) -> jax.Array:
        """Numbers in [0, 1), multiples of 2^-24."""
        return (self.bits(count) >> 8).astype(jnp.float32) * jnp.float32(2.0**-24)

    def integers(self, count: int, high: int | jax.Array) -> jax.Array:
        """Integers from 0 to high - 1; uneven by at most high / 2^32."""
        high = jnp.asarray(high, jnp.uint32)
        high = high.reshape((1,) * (2 - high.ndim) + high.shape)
        return (self.bits(count) % high).astype(jnp.int32)

    def order(self, count: int) -> jax.Array:
        """A random permutation of 0 to count - 1."""
        return jnp.argsort(self.bits(count), axis=1)

    def distinct(self, count: int, high: int) -> jax.Array:
        """`count` distinct integers below `high`, in random order; takes 2 * count.

        Floyd's algorithm: cost in `count`, not in the range (Bentley & Floyd, 1987,
        doi:10.1145/30401.315746).
        """
        tops = jnp.arange(high - count, high)
        picks = self.integers(count, tops + 1)

        def add(i: jax.Array, chosen: jax.Array) -> jax.Array:
            taken = jnp.any(chosen == picks[:, i][:, None], axis=1)
            return chosen.at[:, i].set(jnp.where(taken, tops[i], picks[:, i]))

        chosen = jax.lax.fori_loop(0, count, add, jnp.full(picks.shape, -1))
        return jnp.take_along_axis(chosen, self.order(count), axis=1)
