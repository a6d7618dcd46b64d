"""Extractive question answering: the span of a paragraph that answers a question."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.options import BadInput, declared, option, unknown
from attn_research.tasks.contract import (
    LARGEST,
    SPLITS,
    Batch,
    Spec,
    Split,
    random_batch,
)
from attn_research.tasks.data import forms
from attn_research.tasks.data.raw import decoded, encoded
from attn_research.tasks.parts import set_notes, sets

# The features that hold answers: ours, or those of TFDS.
ANSWERS = ("answer", "start", "answers.text", "answers.answer_start")


@declared
class QuestionAnswering:
    """The first and the last byte of the answer, in a question and its paragraph.

    An encoder reads the bytes of the question, a zero byte, and the paragraph
    (Rajpurkar et al., 2016, arXiv:1606.05250). The scores compare positions: `f1` is
    the overlap of both spans in bytes. If a question has several answers, the first
    counts; questions without an answer, or with one beyond `length`, are left out.
    """

    data: str = option("xquad", "Data set of questions, contexts and answers.")
    language: str = option("en", "Language of the questions; all: every language.")
    length: int = option(1024, "Bytes of question and paragraph.", low=4, high=LARGEST)
    longest: int = option(
        64, "Bytes of a predicted answer, at most; 0: any.", low=0, high=LARGEST
    )
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
            language="" if self.language == "all" else self.language,
        )

    def arrays(self) -> dict[str, Any]:
        columns = sets.loaded(self.data, self.data_dir, "question", "context")
        answers = [name for name in ANSWERS if name in columns["train"]]
        forms.check(columns, self.data, answers)
        spans = {s: self._spans(columns[s], s) for s in SPLITS}
        chosen = {
            s: [i for i, span in spans[s].items() if span[1] < self.length]
            for s in SPLITS
        }

        for split in SPLITS:
            if not chosen[split]:
                raise BadInput(
                    f"question_answering.length is {self.length}; it must be larger "
                    f"for the {split} split of {self.data} to have an answer"
                )

        def texts(name: str) -> list[np.ndarray]:
            return [columns[s][name][i] for s in SPLITS for i in chosen[s]]

        span_N2 = np.array([spans[s][i] for s in SPLITS for i in chosen[s]])
        return {
            "question": sets.stretches(texts("question")),
            "context": sets.stretches(texts("context")),
            "span": span_N2.astype(np.int32),
            "edges": sets.edges(chosen),
            "asked": np.int32(sum(map(len, spans.values()))),
        }

    def _spans(self, columns: Any, split: str) -> dict[int, tuple[int, int]]:
        """The first and last byte of each answer in question and paragraph."""
        spans = _answers(columns, self.data)
        for number, (span, context) in enumerate(
            zip(spans, columns["context"], strict=True)
        ):
            if span is not None and not 0 <= span[0] <= span[1] < len(context):
                raise BadInput(
                    f"Question {number} of {self.data} ({split}) has the bytes "
                    f"{span[0]} to {span[1]} as its answer; they must lie in its "
                    f"paragraph of {len(context):,}"
                )
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
        """Notes on truncated, padded and omitted questions and on missing splits."""
        sizes = np.diff(arrays["question"].offsets_N) + 1
        sizes = sizes + np.diff(arrays["context"].offsets_N)
        what = "questions with their paragraphs"
        notes = set_notes.length_notes(sizes, self.length, what, "bytes")
        notes += set_notes.left_out(arrays, "span", "questions", "their answers are")
        return [*notes, *set_notes.split_notes(self.data, self.data_dir)]

    batch, count = random_batch, sets.count

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
        return [
            (at, at + size - 1) if size else None
            for at, size in zip(starts, sizes, strict=True)
        ]
    if not {"answers.text", "answers.answer_start"} <= columns.keys():
        raise BadInput(
            f"The data set {data} has {', '.join(columns)}; it must have answers"
        )
    found: list[tuple[int, int] | None] = []
    for context, texts, letters in zip(
        columns["context"],
        columns["answers.text"],
        columns["answers.answer_start"],
        strict=True,
    ):
        if not len(texts) or not len(texts[0]) or not len(letters):
            found.append(None)
            continue
        if letters[0] < 0:
            raise BadInput(
                f"Question {len(found)} of {data} has an answer at letter {letters[0]}"
                "; it must be 0 or more"
            )
        start = len(encoded(decoded(context.tobytes())[: int(letters[0])]))
        found.append((start, start + len(texts[0]) - 1))
    return found
