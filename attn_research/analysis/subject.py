"""The sequences that an analysis looks at: of the model's task, or a user's text."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from attn_research import tasks
from attn_research.analysis.layers import open_model, tokens
from attn_research.checkpoint import Restored, check_data
from attn_research.options import BadInput
from attn_research.tasks.contract import Batch, Spec, Split, finite, split_index
from attn_research.tasks.parts import windows
from attn_research.training.predictions import evaluation_batch, evaluation_key

TOGETHER = 8  # sequences in a batch
COUNTED = 64  # batches of the training split whose answers are counted


def _nothing() -> Iterator[Any]:
    yield from ()


class Subject(NamedTuple):
    """A restored model and sequences, with batch and spec if they are of its task.

    These are the first of `total` sequences; `later` yields the others, a batch at a
    time. `training` yields some batches of the training split, none for a text.
    `digest` identifies the content of all of them.
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
        """All sequences batch by batch, these first; memory holds one batch."""
        yield self
        yield from self.later()

    @property
    def first(self) -> np.ndarray:
        """The first sequence without padding: the first segment of the first row."""
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
        """The spec and the batch; in a text the answer to every token is the next one.

        Raises `BadInput` for a text if the model does not predict the next token.
        """
        if self.spec is not None and self.batch is not None:
            return self.spec, self.batch
        model = open_model(self.restored)
        sizes, length = model.trunk.sizes, self.inputs_B.shape[1]
        if sizes.per_sequence or sizes.outputs != sizes.features or not sizes.causal:
            raise BadInput(
                f"The model of {self.restored.config.task} predicts no next token, so "
                "that a text has no loss; its input must be of a --split"
            )
        if length < 2:
            raise BadInput("The text has 1 token; for a loss it must have 2 or more")
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
        """Whether the model sees only the past."""
        return open_model(self.restored).trunk.sizes.causal

    @property
    def places(self) -> int:
        """The number of positions of the layers."""
        ones_BT = np.ones((1, self.inputs_B.shape[1]), np.int32)
        return open_model(self.restored).trunk.positions(ones_BT).shape[1]

    @property
    def places_BT(self) -> Any:
        """The segments of the positions of the layers."""
        return open_model(self.restored).trunk.positions(self.segments_BT)


def of_text(restored: Restored, text: str | bytes) -> Subject:
    """The bytes of a text; needs only the checkpoint.

    Raises `BadInput` for an empty text.
    """
    tokens_T = tokens(restored, text)
    if not tokens_T.size:
        raise BadInput("The text has 0 bytes; they must be 1 or more")
    digest = _digest("text", tokens_T)
    return Subject(restored, tokens_T[None], None, None, None, digest=digest)


def of_split(restored: Restored, split: Split, sequences: int, length: int) -> Subject:
    """The first sequences of a split, the first `length` positions of each.

    A smaller split gives all of its sequences. They come in batches, and the memory is
    that of one batch. Raises `BadInput` if all of these positions are padding, or if
    the data of the task are not those that the model was trained with.
    """
    task, index = tasks.make(restored.config.task), np.int32(split_index(split))
    content = windows.content(task)
    data = check_data(restored, content)
    if finite(task):
        sequences = min(sequences, int(task.count(split, content)))
    size = -(-sequences // -(-sequences // TOGETHER))  # batches of similar size
    draw: Any = jax.jit(evaluation_batch, static_argnums=(0, 3))
    asked = restored.config.task, split, str(sequences), str(length)
    digest = _digest(*asked, data)

    def part(number: int) -> Subject | None:
        """The sequences of a batch that are not all padding, None without any."""
        key = evaluation_key(number)
        arrays = windows.of_batch(task, content, key, split, size)
        batch: Any = jax.tree.map(
            np.asarray, draw(task, index, np.int32(number), size, arrays)
        )
        batch = _cut(batch, sequences - number * size, length)
        subject = Subject(restored, batch.inputs, batch.segments, batch, task.spec)
        return subject if len(batch.inputs) else None

    def later() -> Iterator[Subject]:
        for number in range(1, -(-sequences // size)):
            if (subject := part(number)) is not None:
                yield subject

    def training() -> Iterator[Batch]:
        key = jax.random.key(0)
        batch: Any = jax.jit(task.batch, static_argnums=(1, 2))
        for number in range(COUNTED):
            own = jax.random.fold_in(key, number)
            arrays = windows.of_batch(task, content, own, "train", TOGETHER)
            yield batch(own, "train", TOGETHER, arrays)

    first = part(0)
    if first is None:
        raise BadInput(
            f"The first {length} positions of the {split} sequences are padding; the "
            "length must be larger"
        )
    return first._replace(
        later=later, training=training, total=sequences, digest=digest
    )


def _cut(batch: Batch, rows: int, length: int) -> Any:
    """At most `rows` rows and `length` positions of a batch, no row only padding."""
    real_B = (batch.segments[:, :length] > 0).any(axis=1)
    real_B &= np.arange(len(real_B)) < rows
    per_sequence = batch.weights.ndim == 1

    def cut(name: str, array: Any) -> Any:
        if array is None or (per_sequence and name not in ("inputs", "segments")):
            return array if array is None else array[real_B]
        return array[real_B, :length]

    return Batch(*(cut(name, array) for name, array in batch._asdict().items()))


def _digest(*parts: Any) -> str:
    """The digest of the content of texts and arrays."""
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        array = np.asarray(part)
        kind = f"{array.dtype} {array.shape}\0".encode()
        digest.update(kind + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
