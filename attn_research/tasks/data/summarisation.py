"""Summaries of what a query asks about a whole meeting."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from attn_research.options import BadInput
from attn_research.tasks.contract import Split
from attn_research.tasks.data.raw import encoded, objects, parts
from attn_research.tasks.data.schema import DataSet, Example, File, array, text, texts


def _qmsum(raw: Path) -> Iterator[tuple[Split, Example]]:
    for name in ("train.jsonl", "val.jsonl"):
        meetings = list(objects(raw, name))
        held = parts((meeting["meeting_id"] for meeting in meetings), (9, 1, 0))
        for meeting in meetings:
            split = "test" if name == "val.jsonl" else held[meeting["meeting_id"]]
            yield split, _meeting(meeting)


def _meeting(meeting: dict) -> Example:
    """A transcript with one line per turn, and the questions about it."""
    name = meeting["meeting_id"]
    turns = [
        encoded(f"{turn['speaker']}: {turn['content']}\n")
        for turn in meeting["meeting_transcripts"]
    ]
    asked = meeting["general_query_list"] + meeting["specific_query_list"]
    spans = [
        (query, int(first), int(last))
        for query, item in enumerate(asked)
        for first, last in item.get("relevant_text_span", ())
    ]
    for _, first, last in spans:
        if not 0 <= first <= last < len(turns):
            raise BadInput(
                f"qmsum: meeting {name} has the span {first}-{last} of "
                f"{len(turns)} turns"
            )
    starts = np.cumsum([0, *map(len, turns)])[:-1]
    return {
        "meeting": encoded(name),
        "transcript": b"".join(turns),
        "turns": starts,
        "queries": [encoded(item["query"]) for item in asked],
        "summaries": [encoded(item["answer"]) for item in asked],
        "spans": np.array(spans, np.int64).reshape(-1, 3),
    }


QMSUM = DataSet(
    name="qmsum",
    task="summarisation of meetings by query",
    licence="MIT; AMI and ICSI transcripts CC BY 4.0",
    source="Yale-LILY/QMSum: data/ALL/jsonl/{train,val}.jsonl",
    folder="qmsum",
    files=(
        File(
            "train.jsonl",
            11_935_325,
            "b3411ebe381ad366012e792ff9b3640c6268530c9b6c43e49e93d07db72b9501",
        ),
        File(
            "val.jsonl",
            2_712_780,
            "a4925ad665bf4403e771b02a660aa77a4ffe2553283197fb4640a10c84298788",
        ),
    ),
    features={
        "meeting": text("its name"),
        "transcript": text("a line a turn: the speaker, a colon, what is said"),
        "turns": array("int32", (None,), "the byte where each turn starts"),
        "queries": texts("what is asked, of the whole meeting first"),
        "summaries": texts("the answer to each query"),
        "spans": array(
            "int32", (None, 3), "a query, its first and its last relevant turn"
        ),
    },
    split="the official validation meetings are test; of the official train meetings a "
    "tenth by the hash of their name is validation",
    examples={"train": 146, "validation": 16, "test": 35},
    generate=_qmsum,
)
