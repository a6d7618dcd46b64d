"""Text from text: summaries that answer a question about a meeting."""

from typing import Any

import jax
import numpy as np

from attn_research.options import BadInput, declared, option
from attn_research.tasks.contract import (
    LARGEST,
    SPLITS,
    Batch,
    Spec,
    Split,
    random_batch,
)
from attn_research.tasks.data import subwords
from attn_research.tasks.parts import set_notes, sets
from attn_research.tasks.translation import text_batch, text_spec, unrepeated_option


@declared
class Summarisation:
    """The answer to a question about a meeting, from its whole transcript.

    The decoder writes bytes or subwords; the encoder reads the question, a zero byte,
    and the transcript from its start (Zhong et al., 2021, arXiv:2104.05938), or with
    `passages` only the turns that the annotators marked as relevant.
    """

    data: str = option("qmsum", "Data set of transcripts, queries and summaries.")
    passages: bool = option(False, "Read only the relevant turns.")
    source_length: int = option(
        16384, "Tokens of question and meeting to read.", low=2, high=LARGEST
    )
    length: int = option(
        512, "Tokens to write, including the end.", low=2, high=LARGEST
    )
    subwords: int = sets.subwords_option()
    unrepeated: int = unrepeated_option()
    data_dir: str = sets.data_option()

    def __post_init__(self) -> None:
        subwords.check(self.subwords, "summarisation.subwords")

    @property
    def spec(self) -> Spec:
        return text_spec(
            self.source_length, self.length, self.subwords, self.unrepeated
        )

    def arrays(self) -> dict[str, Any]:
        columns = sets.loaded(
            self.data, self.data_dir, "transcript", "queries", "summaries", "turns",
            "spans",
        )  # fmt: skip
        asked: dict[str, list] = {s: [] for s in SPLITS}
        meetings: list[np.ndarray] = []
        for split in SPLITS:
            column = columns[split]
            for number in range(len(column["transcript"])):
                transcript = column["transcript"][number]
                if not self.passages:
                    meetings.append(transcript)
                turns = column["turns"][number]
                spans = column["spans"][number]
                count = len(column["queries"][number])
                wrong = _meeting_fault(
                    transcript, turns, spans, count, len(column["summaries"][number])
                )
                if wrong:
                    raise BadInput(
                        f"Meeting {number} of {self.data} ({split}) has {wrong}"
                    )
                for place, query in enumerate(column["queries"][number]):
                    if self.passages:
                        relevant = spans[spans[:, 0] == place, 1:]
                        meetings.append(_turns(transcript, turns, relevant))
                    summary = column["summaries"][number][place]
                    asked[split].append((query, summary, len(meetings) - 1))
        for split in SPLITS:
            if not asked[split]:
                raise BadInput(
                    f"The {split} split of {self.data} has no query; it must have one"
                )
        query, target, meeting = zip(
            *(row for split in SPLITS for row in asked[split]), strict=True
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
        """Notes on truncated meetings and summaries."""
        sizes = np.diff(arrays["query"].offsets_N) + 1
        sizes = sizes + np.diff(arrays["transcript"].offsets_N)[arrays["meeting"]]
        notes = (
            set_notes.cut(sizes, self.source_length, "meetings with their questions"),
            set_notes.cut(
                np.diff(arrays["target"].offsets_N) + 1, self.length, "summaries"
            ),
        )
        return [note for note in notes if note]

    batch, count = random_batch, sets.count

    def examples(
        self, index_B: jax.Array, split: Split | jax.Array, arrays: Any
    ) -> Batch:
        row_B = sets.rows(arrays["edges"], split, index_B)
        source_BS, told_BS = sets.joined(
            (arrays["query"], arrays["transcript"]),
            (row_B, arrays["meeting"][row_B]),
            self.source_length,
        )
        return text_batch(source_BS, told_BS, arrays, row_B, self.length)


def _meeting_fault(
    transcript: np.ndarray,
    turns: np.ndarray,
    spans: np.ndarray,
    queries: int,
    summaries: int,
) -> str | None:
    """What does not fit in a meeting, None if all does."""
    if queries != summaries:
        return f"{queries} queries and {summaries} summaries; they must be as many"
    edges = np.asarray(turns, np.int64)
    if len(edges) and (
        edges[0] < 0 or edges[-1] > len(transcript) or np.any(np.diff(edges) < 0)
    ):
        return "turns that do not lie in its transcript in order; they must"
    query_N, first_N, last_N = np.asarray(spans, np.int64).T
    wrong_N = (query_N < 0) | (query_N >= queries) | (first_N < 0)
    wrong_N |= (last_N < first_N) | (last_N >= len(edges))
    if wrong_N.any():
        return (
            f"the span {spans[wrong_N][0].tolist()}; it must be a query, and the first "
            f"and last of {len(edges)} turns"
        )
    return None


def _turns(transcript: np.ndarray, turns: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """The marked turns of a transcript; `turns` has the byte where each turn begins."""
    edges = [*turns.tolist(), len(transcript)]
    chosen = [transcript[edges[a] : edges[b + 1]] for a, b in spans.tolist()]
    return np.concatenate(chosen) if chosen else transcript
