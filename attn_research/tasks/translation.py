"""Text from text: translation."""

from dataclasses import replace
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.options import BadInput, declared, option
from attn_research.tasks.contract import (
    LARGEST,
    SPLITS,
    Batch,
    Draws,
    Spec,
    Split,
    check_arrays,
    random_batch,
)
from attn_research.tasks.data import forms, subwords
from attn_research.tasks.parts import packed_rows, set_notes, sets


def text_spec(source_length: int, length: int, count: int, unrepeated: int) -> Spec:
    """The spec of a decoder of bytes, or of `count` subwords, that reads a text."""
    return Spec(
        inputs="tokens",
        features=count or subwords.BYTES,
        target="token",
        outputs=count or subwords.BYTES,
        length=length,
        causal=True,
        labels=length,
        metrics=("bits_per_byte", "accuracy", "loss"),
        chance=None if count else 8.0,
        source_features=count or subwords.BYTES,
        source_length=source_length,
        unrepeated=unrepeated,
        finite=True,
        subwords=count > 0,
    )


def unrepeated_option() -> int:
    """The option that keeps decoding from repeating itself."""
    return option(
        0, "Decoding never repeats an n-gram of this size; 0: may.", low=0, high=LARGEST
    )


def written(
    byte_BT: jax.Array, real_BT: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Inputs, targets and weights: each token is predicted from those before it.

    The zero byte precedes the first and follows the last, unless the text is cut.
    """
    byte_BT = byte_BT.astype(jnp.int32)
    before_BT = jnp.pad(byte_BT, ((0, 0), (1, 0)), constant_values=sets.END)[:, :-1]
    counted_BT = jnp.pad(real_BT, ((0, 0), (1, 0)), constant_values=1)[:, :-1]
    return before_BT, byte_BT, counted_BT


@declared
class Translation:
    """The bytes of a translation, by a decoder that reads the bytes of the original.

    Subwords, if used, are shared by both languages. `unit` takes sentences one by one,
    or joins those of a document with line breaks. A training row has up to `pairs`
    examples, those that fit whole, each in its own segment: a translation reads its own
    original (an original that does not begin at a multiple of the model's strides
    misses a few bytes at its start). `gap` is unknown.
    """

    data: str = option("tico19", "Data set with a text in two or more languages.")
    origin: str = option("en", "Language to read.")
    into: str = option("fr", "Language to write.")
    unit: Literal["sentence", "document"] = option("sentence", "Unit of an example.")
    pairs: int = option(1, "Examples in a training row, at most.", low=1, high=LARGEST)
    source_length: int = option(
        256, "Tokens of an original to read.", low=1, high=LARGEST
    )
    length: int = option(
        256, "Tokens to write, including the end.", low=2, high=LARGEST
    )
    subwords: int = sets.subwords_option()
    unrepeated: int = unrepeated_option()
    data_dir: str = sets.data_option()

    def __post_init__(self) -> None:
        subwords.check(self.subwords, "translation.subwords")

    @property
    def spec(self) -> Spec:
        spec = text_spec(
            self.source_length, self.length, self.subwords, self.unrepeated
        )
        return replace(spec, language=self.into)

    def arrays(self) -> dict[str, Any]:
        columns = sets.loaded(self.data, self.data_dir)
        known = [name for name in columns["train"] if len(name) == 2]
        for language in (self.origin, self.into):
            if language not in known:
                raise BadInput(
                    f"The language is {language!r}; for {self.data} it must be one of "
                    f"{', '.join(known)}"
                )
            if wrong := forms.fault(columns["train"][language], forms.TEXT):
                raise BadInput(f"The {language} of the data set {self.data} {wrong}")
        if self.unit == "document":
            forms.check(columns, self.data, ("document",))
        pairs = {s: self._pairs(columns[s]) for s in SPLITS}
        source, target = ([p[n] for s in SPLITS for p in pairs[s]] for n in (0, 1))
        training = [text for pair in pairs["train"] for text in pair]
        texts = {"source": source, "target": target}
        arrays = sets.coded(texts, training, self.subwords, self.data_dir)
        return {**arrays, "edges": sets.edges(pairs)}

    def _pairs(self, columns: Any) -> list[tuple[np.ndarray, np.ndarray]]:
        pairs = list(zip(columns[self.origin], columns[self.into], strict=True))
        if self.unit == "sentence":
            return pairs
        documents: dict[bytes, list] = {}
        for name, pair in zip(columns["document"], pairs, strict=True):
            documents.setdefault(name.tobytes(), []).append(pair)
        return [
            (_lines([p[0] for p in parts]), _lines([p[1] for p in parts]))
            for parts in documents.values()
        ]

    def notes(self, arrays: Any) -> list[str]:
        """Notes on truncated texts and on missing splits."""
        notes = _notes(arrays, self.source_length, self.length, "originals")
        return [*notes, *set_notes.split_notes(self.data, self.data_dir)]

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: Any = ()
    ) -> Batch:
        check_arrays(arrays)
        if self.pairs == 1 or not isinstance(split, str) or split != "train":
            return random_batch(self, key, split, size, arrays)
        count = self.count(split, arrays)
        index_BM = Draws(key, split, size, self.pairs).integers(self.pairs, count)
        row_BM = sets.rows(arrays["edges"], split, index_BM)
        source, target = arrays["source"], arrays["target"]
        own = packed_rows.sized(source, row_BM), packed_rows.sized(target, row_BM) + 1
        fits_BM = packed_rows.fitting([*own], [self.source_length, self.length])
        source_BS, told_BS = packed_rows.packed(
            source, row_BM, fits_BM, self.source_length, 0
        )
        target_BT, segments_BT = packed_rows.packed(
            target, row_BM, fits_BM, self.length, 1
        )
        # The end of each translation is the first input of the next.
        inputs_BT, targets_BT, _ = written(target_BT, segments_BT)
        return Batch(
            inputs=inputs_BT,
            targets=targets_BT,
            weights=(segments_BT > 0).astype(jnp.float32),
            segments=segments_BT,
            gap=jnp.full(inputs_BT.shape, -1),
            source=source_BS.astype(jnp.int32),
            source_segments=told_BS,
            bytes=sets.sizes(arrays, targets_BT),
        )

    count = sets.count

    def examples(
        self, index_B: jax.Array, split: Split | jax.Array, arrays: Any
    ) -> Batch:
        row_B = sets.rows(arrays["edges"], split, index_B)
        source_BS, told_BS = sets.window(arrays["source"], row_B, self.source_length)
        return text_batch(source_BS, told_BS, arrays, row_B, self.length)


def text_batch(
    source_BS: jax.Array,
    told_BS: jax.Array,
    arrays: Any,
    row_B: jax.Array,
    length: int,
) -> Batch:
    """The batch that writes the targets of these rows, up to `length` tokens."""
    inputs_BT, targets_BT, counted_BT = written(
        *sets.window(arrays["target"], row_B, length)
    )
    return Batch(
        inputs=inputs_BT,
        targets=targets_BT,
        weights=counted_BT.astype(jnp.float32),
        segments=counted_BT,
        gap=jnp.full(inputs_BT.shape, -1),
        source=source_BS.astype(jnp.int32),
        source_segments=told_BS,
        bytes=sets.sizes(arrays, targets_BT),
    )


def _notes(arrays: Any, source_length: int, length: int, what: str) -> list[str]:
    sizes = np.diff(arrays["source"].offsets_N)
    written = np.diff(arrays["target"].offsets_N) + 1
    notes = [
        set_notes.cut(sizes, source_length, what),
        set_notes.cut(written, length, "targets"),
    ]
    return [note for note in notes if note]


def _lines(texts: list[np.ndarray]) -> np.ndarray:
    line = np.frombuffer(b"\n", np.uint8)
    joined = [part for text in texts for part in (text, line)]
    return np.concatenate(joined[:-1])
