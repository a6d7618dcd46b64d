"""The contract of a task: what it asks of a model, and its batches."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, TypeGuard

import jax
import jax.numpy as jnp

from attn_research.losses import METRICS, Target
from attn_research.options import INT_MAX, BadInput, whole

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")
# Positions, symbols or examples that an option may ask for: products of two of them in
# a batch stay within 64 bits, and a model of them within its own check of memory.
LARGEST = 2**24


class Batch(NamedTuple):
    """What a model sees, what it should answer, and where the answer comes from.

    `inputs` is tokens_BT (int32) or values_BTF (float32). For a target per position,
    `weights` and `gap` have shape BT; for one per sequence, B. `targets` has the same
    shape, with an axis more for values of several channels, spans (first and last
    position) and strings (symbols from 1 on, 0 after the last). `weights` says which
    targets count. `segments` is BT: 0 padding, 1, 2, ... packed sequences. `gap` is the
    distance in tokens from a target back to the information that decides it, -1 if
    unknown. An encoder-decoder task also has the `source`, of another length. `bytes`
    is the number of bytes of each target, None if each is one. `group`, B (int32), is
    the row's place among the `groups` of the spec, None if the spec has none.
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
    """What a task asks of a model; a model is built from this alone."""

    # What a position of the input holds, and how much: the size of the vocabulary of
    # tokens, or the number of channels of values.
    inputs: Literal["tokens", "values"]
    features: int
    # What is predicted, and the number of classes, or of real values.
    target: Target
    outputs: int
    length: int  # positions of the input
    causal: bool  # whether a position sees only those before it
    labels: int  # positions of a sequence with a weight, at most: the head sees these
    metrics: tuple[str, ...]  # the first is the headline
    per_sequence: bool = False  # one target per sequence instead of one per position
    longest: int = 0  # positions of a predicted span, at most; 0: any number
    symbols: int = 0  # of a string, at most
    # The language of written or found texts, in two letters; empty: unknown.
    language: str = ""
    chance: float | None = None  # the headline of the trivial answer
    # The sequence that the encoder of an encoder-decoder reads; 0 features: a task of
    # one sequence.
    source_inputs: Literal["tokens", "values"] = "tokens"
    source_features: int = 0
    source_length: int = 0
    unrepeated: int = 0  # decoding never repeats a stretch of this many tokens; 0: may
    finite: bool = False  # the splits are sets of numbered examples: a `Finite` task
    names: tuple[str, ...] = ()  # of the classes, or of the symbols of a string from 1
    subwords: bool = False  # tokens are subwords; `pieces` of the arrays spells them
    # Height, width and channels of an image whose bytes, in reading order, are the
    # target tokens, or whose pixels, in [-1, 1], are the input values.
    picture: tuple[int, int, int] | None = None
    groups: tuple[str, ...] = ()  # kinds of examples that the test reports one by one
    completes: bool = False  # the test also completes prompts: a `Completing` task
    noted: bool = True  # the task describes its data: a `Noted` task
    # Every row is one sequence without padding: `segments` of a batch are all 1. A
    # program for an accelerator then leaves them out, which opens faster kernels.
    whole: bool = False
    stored: bool = False  # data may stay in their files: a `Stored` task

    @property
    def goal(self) -> Literal["max", "min"]:
        """Whether a good headline is large or small."""
        headline = self.metrics[0]
        if headline in METRICS:
            return METRICS[headline].goal
        return "max" if headline in ("accuracy", "exact_match", "f1") else "min"


class Task(Protocol):
    """A frozen dataclass of options with a spec and batches.

    `batch` is pure and traceable: the same key, split and size give the same batch.
    `split` is a name or its (traced) index in `SPLITS`; different splits never share a
    random stream or a stretch of data.
    """

    @property
    def spec(self) -> Spec:
        """The sizes and kinds that a model of the task is built from."""
        ...

    def arrays(self) -> Any:
        """The data that batches are gathered from; () for a generated task."""
        ...

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: Any = ()
    ) -> Batch:
        """`size` rows of a `split`, as `key` draws them; pure and traceable.

        `arrays` is what `arrays()` returned. Raises `BadInput` if they are missing, for
        an unknown split, a key that is none, and a size below 1.
        """
        ...


class Noted(Task, Protocol):
    """A task that describes how it reads its data."""

    def notes(self, arrays: Any) -> list[str]:
        """Sentences on what is truncated or padded in the `arrays` of the task."""
        ...


class Stored(Task, Protocol):
    """A task whose data may be larger than a device, or than memory."""

    def stored(self) -> Any:
        """`arrays()` whose values stay in their files; see `parts.windows`."""
        ...


class Finite(Noted, Protocol):
    """A task whose splits are sets: evaluation sees each example once."""

    def count(self, split: Split | jax.Array, arrays: Any) -> jax.Array:
        """The number of examples of a `split` of the task's `arrays`."""
        ...

    def examples(
        self, index_B: jax.Array, split: Split | jax.Array, arrays: Any
    ) -> Batch:
        """The examples `index_B` (from 0) of a `split` of the task's `arrays`."""
        ...


class Completing(Task, Protocol):
    """A task of bytes whose test also has prompts to complete."""

    def completions(self, index_B: jax.Array, arrays: Any) -> Batch:
        """The prompts numbered `index_B` (inputs) and what follows each (targets).

        Of the task's `arrays`. Zeros fill the rows and the weights after the last one.
        """
        ...


def completing(task: Task) -> TypeGuard[Completing]:
    """Whether a task's test has prompts to complete."""
    return task.spec.completes


def noted(task: Task) -> TypeGuard[Noted]:
    """Whether a task describes its data."""
    return task.spec.noted


def stored(task: Task) -> TypeGuard[Stored]:
    """Whether a task's data may stay in their files."""
    return task.spec.stored


def finite(task: Task) -> TypeGuard[Finite]:
    """Whether a task's splits are sets of numbered examples."""
    return task.spec.finite


def no_arrays(task: object) -> tuple[()]:
    """No data: `arrays` of a task whose batches are generated from the key alone."""
    return ()


def random_batch(
    task: Finite,
    key: jax.Array,
    split: Split | jax.Array,
    size: int,
    arrays: Any = (),
) -> Batch:
    """Examples sampled with replacement: `batch` of a finite task."""
    check_arrays(arrays)
    count = task.count(split, arrays)
    index_B1 = Draws(key, split, size, 1).integers(1, count)
    return task.examples(index_B1[:, 0], split, arrays)


def split_index(split: Split | jax.Array) -> int | jax.Array:
    """The index of a split in `SPLITS`; an index, traced or not, is returned as is."""
    if not isinstance(split, str):
        return split
    if split not in SPLITS:
        raise BadInput(f"Unknown split {split!r}; known are {', '.join(SPLITS)}")
    return SPLITS.index(split)


def check_arrays(arrays: Any) -> None:
    """Raises `BadInput` if a task that reads data is asked for a batch without them."""
    if arrays is None or (isinstance(arrays, tuple) and not arrays):
        raise BadInput(
            f"The arrays of the batch are {arrays!r}; they must be task.arrays(), the "
            "last argument of batch"
        )


def check_size(size: Any) -> None:
    """Raises `BadInput` unless a batch has a whole number of rows, at least one."""
    if not whole(size) or not 1 <= size <= INT_MAX:
        raise BadInput(
            f"The size of the batch is {size!r}; it must be a whole number from 1 to "
            f"{INT_MAX}"
        )


def check_key(key: Any) -> None:
    """Raises `BadInput` unless `key` is one key, typed or of raw bits, traced or not.

    Shapes and types alone are looked at, while a program is traced.
    """
    axes, dtype = len(getattr(key, "shape", ())), getattr(key, "dtype", None)
    typed = dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)
    if not (typed and axes == 0) and not (dtype == jnp.uint32 and axes == 1):
        raise BadInput(f"The key of the batch is {key!r}; it must be jax.random.key(0)")


class Draws:
    """Random numbers for the rows of a batch, all from one call of the generator.

    One call compiles seconds faster than one per quantity. Each method takes the next
    columns. Raises `BadInput` for a key that is none, and for no rows.
    """

    def __init__(
        self, key: jax.Array, split: Split | jax.Array, rows: int, columns: int
    ):
        check_size(rows)
        check_key(key)
        # Each split has its own key: their batches are independent.
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
                f"{self._next} columns are taken; it must be at most "
                f"{self._bits.shape[1]}"
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
