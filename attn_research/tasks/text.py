"""Language modelling on files, bytes or subwords: text and code of natural length."""

import codecs
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.options import INT_MAX, BadInput, declared, option
from attn_research.tasks.contract import (
    LARGEST,
    SPLITS,
    Batch,
    Spec,
    Split,
    check_arrays,
    split_index,
)
from attn_research.tasks.data import subwords
from attn_research.tasks.data.corpus import CHUNK, Bytes
from attn_research.tasks.parts import set_notes, sets, windows
from attn_research.tasks.parts.texts import ENDS, check, joined, lying, read

# How `surrogateescape` writes bytes that are not UTF-8.
STRANGE = re.compile("[\udc80-\udcff]")


def path_option() -> str:
    """The option that names the files."""
    return option(
        "stdlib", "File or directory; stdlib is this Python's own library source."
    )


def length_option(low: int) -> int:
    """The option for the length of a sequence."""
    return option(256, "Bytes, or subwords, in a sequence.", low=low, high=LARGEST)


def suffix_option() -> str:
    """The option that selects files of a directory."""
    return option("", "Read only files with this ending; stdlib reads .py.")


def texts_option() -> str:
    """The option that names a data set of texts."""
    return option("", "Data set to read instead of `path`.")


def feature_option() -> str:
    """The option that names the texts of a data set."""
    return option("text", "Feature of the data set to read.")


@declared
class Text:
    """Bytes or subwords of texts, predicted one by one.

    The texts are those of a prepared data set, each once, or of a file or directory. A
    directory is split by file (by the hash of its content), a single file into
    contiguous blocks. Texts are joined by a zero byte, which ends a segment: no
    document sees another. `gap` is the distance back to the last earlier occurrence of
    the last four bytes, or two subwords, in the window; -1 if they are new.
    """

    path: str = path_option()
    length: int = length_option(low=1)
    suffix: str = suffix_option()
    subwords: int = sets.subwords_option()
    data: str = texts_option()
    feature: str = feature_option()
    data_dir: str = sets.data_option()

    def __post_init__(self) -> None:
        subwords.check(self.subwords, "text.subwords")
        check(self.path, "text.path")
        if self.data and self.path != "stdlib":
            raise BadInput(
                f"The path is {self.path} and the data set {self.data}; one of them "
                "must be left out"
            )

    @property
    def spec(self) -> Spec:
        return Spec(
            inputs="tokens",
            features=self.subwords or subwords.BYTES,
            target="token",
            outputs=self.subwords or subwords.BYTES,
            length=self.length,
            causal=True,
            labels=self.length,
            metrics=("bits_per_byte", "loss", "accuracy"),
            chance=None if self.subwords else 8.0,
            subwords=self.subwords > 0,
            stored=not self.subwords and not self.data,
        )

    def notes(self, arrays: Any) -> list[str]:
        """Notes on bytes that are not UTF-8 and on missing splits."""
        notes = set_notes.split_notes(self.data, self.data_dir) if self.data else []
        stream = arrays["text"].values_L
        if stream.dtype == np.uint8:
            strange = strange_bytes(stream)
            notes += [
                f"{strange:,} bytes of {self.data or self.path} are not UTF-8; they "
                "are read as they are."
            ] * (strange > 0)
        return notes

    def stored(self, most: int | None = None) -> dict[str, Any]:
        """`arrays` whose bytes stay in their files; they may be more than int32 counts.

        Raises `BadInput` if a split has too few, and, before anything is read, if they
        are more than `most`.
        """
        parts = lying(self.path, self.suffix, most=most)
        sizes = [sum(piece.size for piece in parts[split]) for split in SPLITS]
        offsets_N = np.cumsum([0, *sizes], dtype=np.int64)
        if offsets_N[-1] <= INT_MAX:
            offsets_N = offsets_N.astype(np.int32)
        every = Bytes([piece for split in SPLITS for piece in parts[split]])
        return self.checked({"text": sets.Stretches(every, offsets_N)})

    def arrays(self) -> dict[str, Any]:
        """The tokens of the splits, concatenated.

        Raises `BadInput` if a split has too few.
        """
        if self.spec.stored:
            return windows.held(self.stored(INT_MAX))
        if self.data:
            parts = documents(self.data, self.data_dir, self.feature)
        else:
            parts = read(self.path, self.suffix)
        rows = [parts[split] for split in SPLITS]
        return self.checked(
            sets.coded({"text": rows}, [parts["train"]], self.subwords, self.data_dir)
        )

    def checked(self, arrays: dict[str, Any]) -> dict[str, Any]:
        """The arrays; raises `BadInput` if a split has too few tokens."""
        kind = "subwords" if self.subwords else "bytes"
        for name, size in zip(SPLITS, np.diff(arrays["text"].offsets_N), strict=True):
            if size <= self.length + 1:
                raise BadInput(
                    f"The {name} split of {self.data or self.path} has {size} {kind}; "
                    f"for a length of {self.length} it must be at least "
                    f"{self.length + 2}"
                )
        return arrays

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: Any = ()
    ) -> Batch:
        check_arrays(arrays)
        sent, known = isinstance(arrays["text"], windows.Windows), 1.0
        if sent:
            window_BT, known = windows.found(arrays["text"], key, split, size)
        else:
            data_L, edges_4 = arrays["text"]
            low, high = edges_4[split_index(split)], edges_4[split_index(split) + 1]
            count = high - low - self.length
            start_B1 = low + windows.starts(key, split, size, count)
            window_BT = data_L[start_B1 + jnp.arange(self.length + 1)[None]]
        window_BT = window_BT.astype(jnp.int32)
        inputs_BT, targets_BT = window_BT[:, :-1], window_BT[:, 1:]
        ended_BT = jnp.cumsum(inputs_BT == ENDS, axis=1)
        return Batch(
            inputs=inputs_BT,
            targets=targets_BT,
            weights=jnp.full((size, self.length), known),
            # The zero byte opens the segment of the file that follows it.
            segments=1 + ended_BT,
            gap=repeat_distance(inputs_BT, 2 if self.subwords else 4),
            bytes=sets.sizes(arrays, targets_BT),
        )


def repeat_distance(tokens_BT: jax.Array, order: int = 4) -> jax.Array:
    """Distance back to the last earlier position with the same `order` last tokens.

    -1 if there is none. Tokens have at most 32 / `order` bits. A stable sort,
    O(T log T).
    """
    code_BT = jnp.zeros(tokens_BT.shape, jnp.uint32)
    for back in range(order):
        shifted_BT = jnp.pad(tokens_BT, ((0, 0), (back, 0)))[:, : tokens_BT.shape[1]]
        code_BT = code_BT | (shifted_BT.astype(jnp.uint32) << (32 // order * back))
    order_BT = jnp.argsort(code_BT, axis=1, stable=True)
    sorted_BT = jnp.take_along_axis(code_BT, order_BT, axis=1)
    same_BT = jnp.pad(sorted_BT[:, 1:] == sorted_BT[:, :-1], ((0, 0), (1, 0)))
    before_BT = jnp.pad(order_BT, ((0, 0), (1, 0)))[:, :-1]
    # The first order - 1 positions of a window have no whole context.
    same_BT &= before_BT >= order - 1
    found_BT = jnp.where(same_BT, order_BT - before_BT, -1)
    rows_B1 = jnp.arange(tokens_BT.shape[0])[:, None]
    return jnp.zeros_like(found_BT).at[rows_B1, order_BT].set(found_BT)


def strange_bytes(values_L: Any) -> int:
    """The number of bytes that are not UTF-8; looks at a stretch at a time."""
    reader = codecs.getincrementaldecoder("utf-8")(errors="surrogateescape")
    count = 0
    for low in range(0, len(values_L), CHUNK):
        chunk = np.asarray(values_L[low : low + CHUNK]).tobytes()
        if not chunk.isascii() or reader.getstate()[0]:
            count += len(STRANGE.findall(reader.decode(chunk)))
    return count + len(STRANGE.findall(reader.decode(b"", final=True)))


def documents(data: str, data_dir: str, feature: str) -> dict[str, np.ndarray]:
    """The distinct texts of each split of a data set, as uint8 arrays.

    Raises `BadInput` if the feature is not text and, before anything is read, if the
    texts are more than int32 counts.
    """
    columns = sets.loaded(data, data_dir, feature)
    if columns["train"][feature].feature.kind != "text":
        raise BadInput(f"The feature {feature} of {data} must be text")
    total = sum(columns[split][feature].size for split in SPLITS)
    if total > INT_MAX:
        raise BadInput(
            f"The texts of {data} have {total:,} bytes; it must be at most {INT_MAX:,}"
        )
    # A paragraph may occur once per question.
    return {
        split: joined(dict.fromkeys(map(bytes, columns[split][feature])))
        for split in SPLITS
    }
