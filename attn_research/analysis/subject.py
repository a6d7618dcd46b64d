"""What a model is looked at with: sequences of its task, or a text of the user."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from attn_research import tasks
from attn_research.analysis.opened import opened, tokens
from attn_research.checkpoint import Restored
from attn_research.options import BadInput
from attn_research.program import evaluated
from attn_research.tasks.contract import Batch, Spec, Split, finite, split_index

TOGETHER = 8  # sequences of one batch
COUNTED = 64  # batches of the training split in which answers are counted


def _nothing() -> Iterator[Any]:
    yield from ()


class Subject(NamedTuple):
    """A restored model and sequences; where they are of its task, batch and spec.

    Of `total` sequences these are the first ones, and `later` draws the others, a batch
    at a time. `training` draws some batches of the training split, of a text none.
    `digest` names all of them by their content.
    """

    restored: Restored
    inputs_B: np.ndarray
    segments_BT: np.ndarray | None
    batch: Batch | None
    spec: Spec | None
    later: Callable[[], Iterator["Subject"]] = _nothing
    training: Callable[[], Iterator[Batch]] = _nothing
    total: int = 1
    digest: str = ""

    def parts(self) -> Iterator["Subject"]:
        """All sequences batch by batch, these first; no more than one is held."""
        yield self
        yield from self.later()

    @property
    def first(self) -> np.ndarray:
        """The first sequence: of a packed row its first segment, without padding."""
        if self.segments_BT is None:
            return self.inputs_B[0]
        segment_T = self.segments_BT[0]
        return self.inputs_B[0][segment_T == segment_T[segment_T > 0][0]]

    @property
    def stretch(self) -> np.ndarray:
        """The inputs of all sequences, one after another, without padding."""
        if self.segments_BT is None:
            return self.inputs_B.reshape(-1, *self.inputs_B.shape[2:])
        return self.inputs_B[self.segments_BT > 0]

    @property
    def answered(self) -> tuple[Spec, Batch]:
        """What is asked and the answers; of a text, for every token the next one.

        Raises `BadInput` for a text where the model is none of the next token.
        """
        if self.spec is not None and self.batch is not None:
            return self.spec, self.batch
        of = opened(self.restored)
        sizes, length = of.trunk.sizes, self.inputs_B.shape[1]
        if sizes.per_sequence or sizes.outputs != sizes.features or not sizes.causal:
            raise BadInput(
                f"The model of {self.restored.config.task} predicts no next token, so "
                "that a text has no loss; --split is allowed"
            )
        if length < 2:
            raise BadInput("The text has 1 token; 2 are needed for one to be predicted")
        ones_BT = np.ones(self.inputs_B.shape, np.int32)
        weights_BT = ones_BT.astype(np.float32)
        weights_BT[:, -1] = 0
        after_BT: Any = np.roll(self.inputs_B, -1, axis=1)
        fields: Any = self.inputs_B, after_BT, weights_BT, ones_BT, -ones_BT
        tokens, causal = sizes.features, True
        spec = Spec(
            "tokens", tokens, "token", tokens, length, causal, length, ("loss",)
        )
        return spec, Batch(*fields)

    @property
    def causal(self) -> bool:
        """Whether the model sees the past alone."""
        return opened(self.restored).trunk.sizes.causal

    @property
    def places(self) -> int:
        """How many positions the layers have."""
        ones_BT = np.ones((1, self.inputs_B.shape[1]), np.int32)
        return opened(self.restored).trunk.positions(ones_BT).shape[1]

    @property
    def places_BT(self) -> Any:
        """The segments of the positions that the layers have."""
        return opened(self.restored).trunk.positions(self.segments_BT)


def of_text(restored: Restored, text: str | bytes) -> Subject:
    """The bytes of a text; needs the checkpoint alone."""
    found_T = tokens(restored, text)
    if not found_T.size:
        raise BadInput("The text is empty; one byte or more is allowed")
    digest = _digest("text", found_T)
    return Subject(restored, found_T[None], None, None, None, digest=digest)


def of_split(restored: Restored, split: Split, sequences: int, length: int) -> Subject:
    """The first sequences of a split, the first `length` positions of each.

    Of a split of fewer sequences all of them. They are drawn in batches, so that the
    memory is that of one, however many there are.
    """
    task, index = tasks.make(restored.config.task), np.int32(split_index(split))
    arrays = task.arrays()
    if finite(task):
        sequences = min(sequences, int(task.count(split, arrays)))
    size = -(-sequences // -(-sequences // TOGETHER))  # alike, as far as they can be
    draw: Any = jax.jit(evaluated, static_argnums=(0, 3))
    asked = restored.config.task, split, str(sequences), str(length)
    digest = _digest(*asked, *jax.tree.leaves(arrays))

    def drawn(number: int) -> Subject | None:
        """The sequences of a batch that are not all padding, None where all are."""
        batch: Any = jax.tree.map(
            np.asarray, draw(task, index, np.int32(number), size, arrays)
        )
        batch = _cut(batch, sequences - number * size, length)
        found = Subject(restored, batch.inputs, batch.segments, batch, task.spec)
        return found if len(batch.inputs) else None

    def later() -> Iterator[Subject]:
        for number in range(1, -(-sequences // size)):
            if (found := drawn(number)) is not None:
                yield found

    def training() -> Iterator[Batch]:
        key = jax.random.key(0)
        one: Any = jax.jit(task.batch, static_argnums=(1, 2))
        for number in range(COUNTED):
            yield one(jax.random.fold_in(key, number), "train", TOGETHER, arrays)

    first = drawn(0)
    if first is None:
        raise BadInput(
            f"The first {length} positions of the {split} sequences are padding; a "
            "larger length is allowed"
        )
    return first._replace(
        later=later, training=training, total=sequences, digest=digest
    )


def _cut(batch: Batch, rows: int, length: int) -> Any:
    """At most so many rows and positions of a batch, without rows of padding alone."""
    real_B = (batch.segments[:, :length] > 0).any(axis=1)
    real_B &= np.arange(len(real_B)) < rows
    per_sequence = batch.weights.ndim == 1

    def cut(name: str, array: Any) -> Any:
        if array is None or (per_sequence and name not in ("inputs", "segments")):
            return array if array is None else array[real_B]
        return array[real_B, :length]

    return Batch(*(cut(name, array) for name, array in batch._asdict().items()))


def _digest(*parts: Any) -> str:
    """A name for the content of texts and arrays."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        array = np.asarray(part)
        kind = f"{array.dtype} {array.shape}\0".encode()
        digest.update(kind + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
