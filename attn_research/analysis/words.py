"""How the words of a text read each other: mixing matrices by word, not by byte."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# Letters, digits and bytes beyond ASCII; or one sign. Either includes the space before.
WORD = re.compile(rb"\s*(?:[\w\x80-\xff]+|[^\w\s])")
PRONOUNS = frozenset(
    "it its he him his she her hers they them their theirs".split()
)  # fmt: skip


class Word(NamedTuple):
    """A word or a sign, and its bytes: `begin` to before `end`, with space before."""

    text: str
    begin: int
    end: int


def words(raw: bytes) -> list[Word]:
    """The words of a text in order; every byte belongs to one."""
    ends = [match.end() for match in WORD.finditer(raw)]
    if not ends:
        return []
    begins, ends = [0, *ends[:-1]], [*ends[:-1], len(raw)]
    return [
        Word(raw[begin:end].strip().decode(errors="replace"), begin, end)
        for begin, end in zip(begins, ends, strict=True)
    ]


def by_word(weight_HTS: np.ndarray, spans: Sequence[Word]) -> np.ndarray:
    """share_HRW: the share of the weight of the word R that falls on the word W.

    The moduli of each byte's row over their sum, summed over the bytes of W and
    averaged over those of R. A row without weight counts as zeros.
    """
    share_HTS = np.abs(weight_HTS).astype(np.float64)
    total_HT1 = share_HTS.sum(axis=-1, keepdims=True)
    share_HTS /= np.where(total_HT1 > 0, total_HT1, 1)
    begin_W = [word.begin for word in spans]
    share_HTW = np.add.reduceat(share_HTS, begin_W, axis=2)
    share_HRW = np.add.reduceat(share_HTW, begin_W, axis=1)
    return share_HRW / np.diff([*begin_W, share_HTS.shape[1]])[:, None]


def reader(spans: Sequence[Word]) -> int:
    """The index of the first pronoun, or of the last word if there is none."""
    for place, word in enumerate(spans):
        if word.text.lower() in PRONOUNS:
            return place
    return len(spans) - 1
