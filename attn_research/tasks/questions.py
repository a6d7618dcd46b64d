"""Extractive question answering: the stretch of a paragraph that answers."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.options import BadInput, option, unknown
from attn_research.tasks import sets
from attn_research.tasks.contract import SPLITS, Batch, Spec, Split
from attn_research.tasks.data.raw import decoded, encoded


@dataclass(frozen=True)
class QuestionAnswering(sets.OfASet):
    """The first and the last byte of the answer, in a question and its paragraph.

    An encoder reads the bytes of the question, a zero byte, and the paragraph
    (Rajpurkar et al., 2016, arXiv:1606.05250). The scores compare positions: `f1` is
    the overlap of both stretches in bytes. Of several answers the first counts; a
    question without one, or whose answer lies in what is not read, is left out.
    """

    data: str = option("xquad", "Data set of questions, contexts and answers.")
    language: str = option("en", "Language of the questions; all takes every one.")
    length: int = option(1024, "Bytes of question and paragraph.", low=4)
    longest: int = option(64, "Bytes that are answered, at most; 0: no bound.", low=0)
    data_dir: str = sets.data_option()

    @property
    def spec(self) -> Spec:
        return Spec(
            inputs="tokens",
            features=256,
            target="span",
            outputs=2,
            length=self.length,
            causal=False,
            labels=self.length,
            longest=self.longest,
            metrics=("f1", "exact_match", "loss"),
            finite=True,
        )

    def arrays(self) -> dict[str, Any]:
        columns = sets.loaded(self.data, self.data_dir, "question", "context")
        found = {s: self._found(columns[s]) for s in SPLITS}
        chosen = {
            s: [i for i, span in found[s].items() if span[1] < self.length]
            for s in SPLITS
        }

        for split in SPLITS:
            if not chosen[split]:
                raise BadInput(
                    f"No answer of the {split} split of {self.data} lies within a "
                    f"length of {self.length}; read more of it"
                )

        def texts(name: str) -> list[np.ndarray]:
            return [columns[s][name][i] for s in SPLITS for i in chosen[s]]

        span_N2 = np.array([found[s][i] for s in SPLITS for i in chosen[s]])
        return {
            "question": sets.stretches(texts("question")),
            "context": sets.stretches(texts("context")),
            "span": span_N2.astype(np.int32),
            "edges": sets.edges(chosen),
            "asked": np.int32(sum(map(len, found.values()))),
        }

    def _found(self, columns: Any) -> dict[int, tuple[int, int]]:
        """The first and last byte of each answer in question and paragraph."""
        spans = _answers(columns, self.data)
        before = {i: len(columns["question"][i]) + 1 for i in self._chosen(columns)}
        return {
            i: (span[0] + skipped, span[1] + skipped)
            for i, skipped in before.items()
            if (span := spans[i]) is not None
        }

    def _chosen(self, columns: Any) -> np.ndarray:
        """The places of the questions in the language."""
        column = columns.get("language")
        if column is None or self.language == "all":
            return np.arange(len(columns["question"]))
        languages = column.feature.names
        if self.language not in languages:
            raise unknown("language", self.language, (*languages, "all"))
        return np.flatnonzero(column.values == languages.index(self.language))

    def notes(self, arrays: Any) -> list[str]:
        """What is not read, and what is padding."""
        sizes = np.diff(arrays["question"].offsets_N) + 1
        sizes = sizes + np.diff(arrays["context"].offsets_N)
        what = "questions with their paragraphs"
        notes = sets.told(sizes, self.length, what, "bytes")
        lost = int(arrays["asked"]) - len(arrays["span"])
        if lost:
            notes.append(
                f"{lost:,} questions are left out: their answers lie in what is cut."
            )
        return [*notes, *sets.divisions(self.data, self.data_dir)]

    def examples(
        self, index_B: jax.Array, split: Split | jax.Array, arrays: Any
    ) -> Batch:
        row_B = sets.rows(arrays["edges"], split, index_B)
        pair = arrays["question"], arrays["context"]
        byte_BT, segments_BT = sets.joined(pair, row_B, self.length)
        span_B2 = arrays["span"][row_B]
        asked_B = arrays["question"].offsets_N[row_B + 1]
        asked_B = asked_B - arrays["question"].offsets_N[row_B]
        return Batch(
            inputs=byte_BT.astype(jnp.int32),
            targets=span_B2,
            weights=jnp.ones(index_B.shape),
            segments=segments_BT,
            # From the end of the question to the answer.
            gap=span_B2[:, 0] - asked_B - 1,
        )


def _answers(columns: Any, data: str) -> list[tuple[int, int] | None]:
    """The first and the last byte of each answer in its context, None for none.

    TFDS keeps answers as a list, and where each begins in letters.
    """
    if {"answer", "start"} <= columns.keys():
        starts = columns["start"].values.tolist()
        sizes = map(len, columns["answer"])
        return [(at, at + size - 1) for at, size in zip(starts, sizes, strict=True)]
    if not {"answers.text", "answers.answer_start"} <= columns.keys():
        told = ", ".join(columns)
        raise BadInput(f"The data set {data} has no answer; it has {told}")
    found: list[tuple[int, int] | None] = []
    for context, texts, letters in zip(
        columns["context"],
        columns["answers.text"],
        columns["answers.answer_start"],
        strict=True,
    ):
        if not texts:
            found.append(None)
            continue
        start = len(encoded(decoded(context.tobytes())[: int(letters[0])]))
        found.append((start, start + len(texts[0]) - 1))
    return found
