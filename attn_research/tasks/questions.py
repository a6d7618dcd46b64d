"""Extractive question answering: the stretch of a paragraph that answers."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.options import option, unknown
from attn_research.tasks import sets
from attn_research.tasks.contract import SPLITS, Batch, Spec, Split, drawn


@dataclass(frozen=True)
class QuestionAnswering:
    """The first and the last byte of the answer, in a question and its paragraph.

    An encoder reads the bytes of the question, a zero byte, and the paragraph
    (Rajpurkar et al., 2016, arXiv:1606.05250). The scores compare positions: `f1` is
    the overlap of both stretches in bytes.
    """

    data: str = option("xquad", "Data set of questions, contexts and answers.")
    language: str = option("en", "Language of the questions; all takes every one.")
    length: int = option(1024, "Bytes of question and paragraph.", low=4)
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
            metrics=("f1", "exact_match", "loss"),
            finite=True,
        )

    def arrays(self) -> dict[str, Any]:
        columns = sets.loaded(
            self.data, self.data_dir, "question", "context", "answer", "start"
        )
        chosen = {s: self._chosen(columns[s]) for s in SPLITS}

        def texts(name: str) -> list[np.ndarray]:
            return [columns[s][name][i] for s in SPLITS for i in chosen[s]]

        answers = [len(text) for text in texts("answer")]
        starts = {s: np.asarray(columns[s]["start"].values)[chosen[s]] for s in SPLITS}
        first = sets.stacked(starts) + np.array([len(q) + 1 for q in texts("question")])
        last = first + np.array(answers) - 1
        return {
            "question": sets.stretches(texts("question")),
            "context": sets.stretches(texts("context")),
            "span": np.stack([first, last], axis=1).astype(np.int32),
            "edges": sets.edges(chosen),
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
        lost = int((arrays["span"][:, 1] >= self.length).sum())
        if lost:
            notes.append(f"{lost:,} answers lie in what is cut and cannot be found.")
        return notes

    def batch(
        self, key: jax.Array, split: Split | jax.Array, size: int, arrays: Any = ()
    ) -> Batch:
        return drawn(self, key, split, size, arrays)

    def count(self, split: Split | jax.Array, arrays: Any) -> jax.Array:
        return sets.count(arrays["edges"], split)

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
            # An answer that is cut off stands at the last position.
            targets=jnp.minimum(span_B2, self.length - 1),
            weights=jnp.ones(index_B.shape),
            segments=segments_BT,
            # From the end of the question to the answer.
            gap=jnp.minimum(span_B2[:, 0] - asked_B - 1, self.length - 1),
        )
