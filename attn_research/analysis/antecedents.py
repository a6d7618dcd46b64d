"""Whether attention points from a pronoun, or a name used again, to its antecedent.

Each sequence has three sets of flags: the reader, its antecedent, and another person
whom it might mean. The sequences are made-up sentences of `coreference`, or passages
in which annotators marked a pronoun and two names (Webster et al., 2018,
arXiv:1810.05201).
"""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np

from attn_research.analysis.pointing import head_pointing
from attn_research.analysis.subject import of_split
from attn_research.checkpoint import Restored
from attn_research.options import BadInput
from attn_research.tasks.contract import Split
from attn_research.tasks.coreference import PEOPLE
from attn_research.tasks.parts import sets

Reader = Literal["pronoun", "name"]
MARKED = ("text", "pronoun", "a", "b", "label")
SHORTEST = 4  # bytes of a name whose next occurrence is searched for


class Antecedents(NamedTuple):
    """Sequences, with flags of the reader, its antecedent, and another person."""

    inputs_BT: np.ndarray
    reader_BT: np.ndarray
    meant_BT: np.ndarray
    other_BT: np.ndarray


def persons(restored: Restored, split: Split, sequences: int) -> Antecedents:
    """The pronoun that `coreference` asks about, and both persons.

    Raises `BadInput` for a model of another task.
    """
    if not restored.config.task.startswith("coreference"):
        raise BadInput(
            f"The model was trained on {restored.config.task}; the task must be "
            "coreference"
        )
    spec, batch = of_split(restored, split, sequences, 2**20).answered
    place_1T = np.arange(spec.length)[None]
    reader_BT = np.asarray(batch.weights) > 0
    end_B1 = reader_BT.argmax(axis=1)[:, None]
    gap_B1 = np.take_along_axis(np.asarray(batch.gap), end_B1, axis=1)
    inputs_BT, meant_BT = np.asarray(batch.inputs), place_1T == end_B1 - gap_B1
    return Antecedents(
        inputs_BT, reader_BT, meant_BT, (inputs_BT < len(PEOPLE)) & ~meant_BT
    )


def passages(
    split: Split, sequences: int, length: int, reader: Reader, data: str = "gap"
) -> Antecedents:
    """The bytes of passages up to a pronoun, or to a name that is used again.

    At most `sequences` of them, in which both persons are among the `length` bytes that
    end with the reader. If the reader ends earlier than `length`, the bytes go on
    beyond it. Raises `BadInput` if no passage has both.
    """
    columns = sets.loaded(data, "", *MARKED)[split]
    find = _pronoun if reader == "pronoun" else _again
    cuts: list[tuple[np.ndarray, ...]] = []
    for row in zip(*(columns[name] for name in MARKED), strict=True):
        cuts += [cut for spans in find(*row) if (cut := _cut(row[0], spans, length))]
    if not cuts:
        raise BadInput(
            f"No passage of the {split} split of {data} has a {reader} and two persons "
            f"within {length} bytes; the length must be larger"
        )
    return Antecedents(*map(np.stack, zip(*cuts[:sequences], strict=True)))


def beyond(restored: Restored, asked: Antecedents) -> np.ndarray:
    """beyond_2N of N heads: the antecedent's share of the weight minus chance, and that
    minus the same for the other person.

    Means over the sequences.
    """
    # Both persons in one call, because compilation takes longest.
    inputs_BT, reader_BT = (np.concatenate([each, each]) for each in asked[:2])
    heads = head_pointing(restored, inputs_BT, reader_BT, np.concatenate(asked[2:]))
    more_NB = np.stack([head.share_B - head.chance_B for head in heads])
    more_N2B = more_NB.reshape(len(heads), 2, -1)
    meant_N, other_N = np.nanmean(more_N2B, axis=2).T
    return np.stack([meant_N, meant_N - other_N])


Spans = tuple[Any, Any, Any]  # (begin, end) in bytes of each of the three


def _pronoun(text: Any, pronoun: Any, a: Any, b: Any, label: Any) -> Iterator[Spans]:
    """A pronoun, the name that it means, and the other name."""
    if label < 2:
        yield pronoun, *((a, b) if label == 0 else (b, a))


def _again(text: Any, pronoun: Any, a: Any, b: Any, label: Any) -> Iterator[Spans]:
    """The next occurrence of a marked name, the marked one, and the other name."""
    whole = bytes(text)
    for marked, other in ((a, b), (b, a)):
        name = whole[marked[0] : marked[1]]
        at = whole.find(name, max(marked[1], other[1]))
        if len(name) >= SHORTEST and at >= 0:
            yield (at, at + len(name)), marked, other


def _cut(text: Any, spans: Spans, length: int) -> tuple[np.ndarray, ...] | None:
    """The bytes up to the reader, and flags; None if they do not hold both persons."""
    reader, *people = spans
    start = max(int(reader[1]) - length, 0)
    before = all(start <= first and last <= reader[0] for first, last in people)
    if not before or start + length > len(text):
        return None
    place_T = start + np.arange(length)
    flags = [(first <= place_T) & (place_T < last) for first, last in spans]
    return np.asarray(text[start : start + length], np.int32), *flags
