"""The door for a user's files: every path and every byte comes in through here.

What cannot be read is refused in one sentence, before memory is taken: a path that is
empty or has no home, a file that is a device or a pipe, one that is larger than an
array can index, a table that is not text.
"""

import codecs
import os
import stat
from pathlib import Path

from attn_research.options import INT_MAX, BadInput

NUL = "\0"
# Marks of byte order, the longer ones first, and how the rest is decoded.
MARKS = {
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}


def place(given: str | os.PathLike[str], what: str, form: str) -> Path:
    """A path with its `~` expanded; `what` names it, `form` says what it must be.

    Raises `BadInput` if it is empty, holds a NUL or names a home that does not exist.
    """
    path = os.fspath(given)
    if not path.strip() or NUL in path:
        raise BadInput(f"{what} is {path!r}; it must be {form}")
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise BadInput(
            f"{what} is {path!r}, a home directory that does not exist; it must be "
            f"{form}"
        ) from None


def kind(path: Path) -> str:
    """`file`, `directory`, `other` (a device, a pipe, ...) or `missing`.

    Raises `BadInput` if the system cannot say.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "missing"
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from None
    if stat.S_ISREG(mode):
        return "file"
    return "directory" if stat.S_ISDIR(mode) else "other"


def content(path: Path, most: int = INT_MAX) -> bytes:
    """The bytes of a file; raises `BadInput` if it has more than `most` of them."""
    check(path, most)
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from None


def check(path: Path, most: int | None = INT_MAX) -> None:
    """Raises `BadInput` for what is no file, or one of more than `most` bytes.

    None: of any size.
    """
    found = kind(path)
    if found in ("directory", "other"):
        raise BadInput(
            f"{path} is a {'directory' if found == 'directory' else 'device or pipe'}; "
            "it must be a file"
        )
    try:
        size = path.stat().st_size
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from None
    if most is not None and size > most:
        raise BadInput(f"{path} has {size:,} bytes; it must be at most {most:,}")


def unreadable(path: Path, error: Exception) -> BadInput:
    """The sentence for a file that the system does not open."""
    if isinstance(error, BadInput):
        return error
    reason = error.strerror if isinstance(error, OSError) else str(error)
    name = str(path) if len(str(path)) < 300 else f"{str(path)[:300]}..."
    return BadInput(f"{name} cannot be read: {reason or type(error).__name__}")


def table(path: Path) -> str:
    """The text of a table in UTF-8, UTF-16 or UTF-32 with its mark, without the mark.

    Raises `BadInput` for another encoding and for a NUL.
    """
    stored = content(path)
    mark, encoding = next(
        ((m, e) for m, e in MARKS.items() if stored.startswith(m)), (b"", "utf-8")
    )
    try:
        text = stored.removeprefix(mark).decode(encoding)
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} cannot be read ({error}); it must be UTF-8") from None
    if NUL in text:
        line = text[: text.index(NUL)].count("\n") + 1
        raise BadInput(f"{path} line {line} holds a NUL; it must be text in UTF-8")
    return text
