"""Texts written from texts: translation, and summaries of what a question asks."""

from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.options import BadInput, option
from attn_research.tasks import packed_rows, sets
from attn_research.tasks.contract import SPLITS, Batch, Draws, Spec, Split, drawn
from attn_research.tasks.data import subwords


def _spec(source_length: int, length: int, count: int, unrepeated: int) -> Spec:
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
    """The option that keeps what is decoded from going round in circles."""
    return option(0, "No stretch of so many tokens is written twice; 0: any is.", low=0)


def written(
    byte_BT: jax.Array, real_BT: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Inputs, targets and weights: each token is asked for by the one before it.

    The zero byte stands before the first and after the last; a text that is cut has
    none after it.
    """
    byte_BT = byte_BT.astype(jnp.int32)
    before_BT = jnp.pad(byte_BT, ((0, 0), (1, 0)), constant_values=sets.END)[:, :-1]
    counted_BT = jnp.pad(real_BT, ((0, 0), (1, 0)), constant_values=1)[:, :-1]
    return before_BT, byte_BT, counted_BT


@dataclass(frozen=True)
class Translation(sets.OfASet):
    """The bytes of a translation, by a decoder that reads the bytes of the original.

    Or subwords, of both languages together. `unit` joins the sentences of a document,
    by line breaks, or takes them one by one. A training row has as many `pairs` as fit
    whole, each a segment: a translation reads its own original (where an original does
    not begin at a multiple of the strides of a model, it misses the few bytes before).
    `gap` is unknown: which token decides which is for the model to find.
    """

    data: str = option("tico19", "Data set with a text in two or more languages.")
    origin: str = option("en", "Language that is read.")
    into: str = option("fr", "Language that is written.")
    unit: Literal["sentence", "document"] = option("sentence", "What is an example.")
    pairs: int = option(1, "Examples in a row of training, at most.", low=1)
    source_length: int = option(256, "Tokens read of an original.", low=1)
    length: int = option(256, "Tokens written, the end included.", low=2)
    subwords: int = sets.subwords_option()
    unrepeated: int = unrepeated_option()
    data_dir: str = sets.data_option()

    def __post_init__(self) -> None:
        subwords.check(self.subwords, "translation.subwords")

    @property
    def spec(self) -> Spec:
        return _spec(self.source_length, self.length, self.subwords, self.unrepeated)

    def arrays(self) -> dict[str, Any]:
        columns = sets.loaded(self.data, self.data_dir)
        known = [name for name, one in columns["train"].items() if len(name) == 2]
        for language in (self.origin, self.into):
            if language not in known:
                raise BadInput(
                    f"{self.data} has no language {language!r}; it has "
                    f"{', '.join(known)}"
                )
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
        """What is not read, and not written."""
        told = _notes(arrays, self.source_length, self.length, "originals")
        return [*told, *sets.divisions(self.data, self.data_dir)]

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: Any = ()
    ) -> Batch:
        if self.pairs == 1 or not isinstance(split, str) or split != "train":
            return drawn(self, key, split, size, arrays)
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
        # Each end is what the next translation begins with.
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

    def examples(
        self, index_B: jax.Array, split: Split | jax.Array, arrays: Any
    ) -> Batch:
        row_B = sets.rows(arrays["edges"], split, index_B)
        source_BS, told_BS = sets.window(arrays["source"], row_B, self.source_length)
        return _batch(source_BS, told_BS, arrays, row_B, self.length)


@dataclass(frozen=True)
class Summarisation(sets.OfASet):
    """The answer to a question about a meeting, from its whole transcript.

    The decoder writes bytes or subwords; the encoder reads the question, a zero byte,
    and the transcript from its start (Zhong et al., 2021, arXiv:2104.05938).
    `passages` gives it only the turns that the annotators marked as relevant.
    """

    data: str = option("qmsum", "Data set of transcripts, queries and summaries.")
    passages: bool = option(False, "Read the relevant turns alone.")
    source_length: int = option(16384, "Tokens read of a question and meeting.", low=2)
    length: int = option(512, "Tokens written, the end included.", low=2)
    subwords: int = sets.subwords_option()
    unrepeated: int = unrepeated_option()
    data_dir: str = sets.data_option()

    def __post_init__(self) -> None:
        subwords.check(self.subwords, "summarisation.subwords")

    @property
    def spec(self) -> Spec:
        return _spec(self.source_length, self.length, self.subwords, self.unrepeated)

    def arrays(self) -> dict[str, Any]:
        columns = sets.loaded(self.data, self.data_dir, "transcript", "queries")
        asked: dict[str, list] = {s: [] for s in SPLITS}
        meetings: list[np.ndarray] = []
        for split in SPLITS:
            told = columns[split]
            for number in range(len(told["transcript"])):
                transcript = told["transcript"][number]
                if not self.passages:
                    meetings.append(transcript)
                turns = told["turns"][number]
                spans = told["spans"][number]
                for place, query in enumerate(told["queries"][number]):
                    if self.passages:
                        own = spans[spans[:, 0] == place, 1:]
                        meetings.append(_turns(transcript, turns, own))
                    summary = told["summaries"][number][place]
                    asked[split].append((query, summary, len(meetings) - 1))
        query, target, meeting = zip(
            *(one for split in SPLITS for one in asked[split]), strict=True
        )
        known, last = len(asked["train"]), asked["train"][-1][2]
        training = [*query[:known], *target[:known], *meetings[: last + 1]]
        texts = {"query": query, "target": target, "transcript": meetings}
        arrays = sets.coded(texts, training, self.subwords, self.data_dir)
        return {
            **arrays,
            "meeting": np.array(meeting, np.int32),
            "edges": sets.edges(asked),
        }

    def notes(self, arrays: Any) -> list[str]:
        """What is not read, and not written."""
        sizes = np.diff(arrays["query"].offsets_N) + 1
        sizes = sizes + np.diff(arrays["transcript"].offsets_N)[arrays["meeting"]]
        told = sets.cut(sizes, self.source_length, "meetings with their questions")
        written = sets.cut(
            np.diff(arrays["target"].offsets_N) + 1, self.length, "summaries"
        )
        return [note for note in (told, written) if note]

    def examples(
        self, index_B: jax.Array, split: Split | jax.Array, arrays: Any
    ) -> Batch:
        row_B = sets.rows(arrays["edges"], split, index_B)
        source_BS, told_BS = sets.joined(
            (arrays["query"], arrays["transcript"]),
            (row_B, arrays["meeting"][row_B]),
            self.source_length,
        )
        return _batch(source_BS, told_BS, arrays, row_B, self.length)


def _batch(source_BS, told_BS, arrays, row_B, length) -> Batch:
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
        sets.cut(sizes, source_length, what),
        sets.cut(written, length, "targets"),
    ]
    return [note for note in notes if note]


def _lines(texts: list[np.ndarray]) -> np.ndarray:
    line = np.frombuffer(b"\n", np.uint8)
    joined = [part for text in texts for part in (text, line)]
    return np.concatenate(joined[:-1])


def _turns(transcript: np.ndarray, turns: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """The marked turns of a transcript; `turns` are the places where they begin."""
    edges = [*turns.tolist(), len(transcript)]
    chosen = [transcript[edges[a] : edges[b + 1]] for a, b in spans.tolist()]
    return np.concatenate(chosen) if chosen else transcript
