"""Texts without what does not tell them apart: case, spaces and punctuation."""

import functools
import re
import sys
import unicodedata


@functools.cache
def _between() -> re.Pattern[str]:
    """Everything that is neither letter, mark, number nor symbol."""
    ranges: list[list[int]] = []
    for code in range(sys.maxunicode + 1):
        if unicodedata.category(chr(code))[0] in "PZC":
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    return re.compile("[" + "".join(f"\\U{a:08x}-\\U{b:08x}" for a, b in ranges) + "]+")


def plain(content: bytes) -> bytes:
    """A text as its words alone, folded, with one space between them.

    Letters in several forms (NFKC) are one. The text itself if it has no words.
    """
    text = unicodedata.normalize("NFKC", content.decode(errors="replace")).casefold()
    return _between().sub(" ", text).strip().encode(errors="replace") or content
