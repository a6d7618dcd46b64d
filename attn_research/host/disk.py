"""What a disk refuses, known by the number of the error, whoever raised it.

Libraries wrap the system's error into types of their own, raise another on top of it,
or keep only its text. The number decides; it is searched in an error, in its causes,
and in the words of those that are no `OSError`.
"""

import errno
import os
import re
from collections.abc import Iterator

from attn_research.options import BadInput

# The device failed, is full, over quota, read-only, gone or was found broken.
NAMES = ("EIO", "ENOSPC", "EDQUOT", "EROFS", "ESTALE", "EUCLEAN", "EREMOTEIO")
NUMBERS = tuple(getattr(errno, name) for name in NAMES if hasattr(errno, name))
# By TensorStore, old and new, and by Python.
_WRITTEN = re.compile(r"\[(?:OS error |os_error_code='|Errno )(\d+)")
_PLACE = re.compile(r'local file "([^"]+)"')


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and each that it was raised from, on top of, or groups."""
    waiting, seen = [error], set()
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        more = [one.__cause__, one.__context__, *getattr(one, "exceptions", ())]
        waiting += [other for other in more if isinstance(other, BaseException)]


def refusal(error: BaseException) -> int | None:
    """The number of the disk error in `error`, or None.

    The text of another error counts if it has the number as libraries write it, or the
    system's own words.
    """
    for one in chain(error):
        number = one.errno if isinstance(one, OSError) else _in_words(one)
        if number in NUMBERS:
            return number
    return None


def _in_words(error: BaseException) -> int | None:
    if isinstance(error, BadInput):  # it quotes what a user gave
        return None
    text = str(error)
    found = _WRITTEN.search(text)
    if found:
        return int(found[1])
    return next((n for n in NUMBERS if os.strerror(n) in text), None)


def place(error: BaseException) -> str:
    """The path that a disk error is about, empty if nothing names it."""
    for one in chain(error):
        if isinstance(one, OSError) and one.filename is not None:
            return os.fsdecode(one.filename)
        found = _PLACE.search(str(one))
        if found:
            return found[1]
    return ""


def sentence(error: BaseException) -> str:
    """What the disk refused, in one sentence with the system's word for it."""
    number = refusal(error)
    reason = os.strerror(number) if number else str(error)
    where = place(error) or "a file"
    return f"{where} could not be read or written ({reason})"
