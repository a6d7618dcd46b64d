"""Texts of a file or a directory: which files are read, how, and for which split."""

import codecs
import hashlib
import os
import sysconfig
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np

from attn_research.options import INT_MAX, BadInput
from attn_research.tasks.contract import SPLITS, Split
from attn_research.tasks.data import files, splits
from attn_research.tasks.data.corpus import Bytes, Piece, stamp

STDLIB = "stdlib"
FORM = "a file or a directory of text"
ENDS = 0  # The byte between files; it does not occur in text.


def place(path: str, what: str) -> Path:
    """Where a user's texts lie; raises `BadInput` if there is no such place."""
    root = files.place(path, what, FORM)
    if files.kind(root) not in ("file", "directory"):
        raise BadInput(f"{path} does not exist; it must be {FORM}")
    return root


def check(path: str, what: str) -> None:
    """Raises `BadInput` for a path that cannot be one; what lies there may change."""
    if path != STDLIB:
        files.place(path, what, FORM)


def read(
    path: str, suffix: str = "", group: Callable[[Path], str] | None = None
) -> dict[str, np.ndarray]:
    """The bytes of each split as `lying` has them, as uint8 arrays.

    Raises `BadInput`, before anything is read, if they are more than int32 counts.
    """
    parts = lying(path, suffix, group, most=INT_MAX)
    return {split: Bytes(pieces)[:] for split, pieces in parts.items()}


def lying(
    path: str,
    suffix: str = "",
    group: Callable[[Path], str] | None = None,
    most: int | None = None,
) -> dict[Split, list[Piece]]:
    """Where the bytes of each split of a file or directory lie; holds none of them.

    The files of a directory are assigned by the hash of their content, 18 of 20 for
    training, one each for validation and test (`splits.assigned`), or if there is a
    `group`, all of a group together, by its name; files without one are skipped. The
    library of Python, `stdlib`, is assigned by relative paths. Raises `BadInput`,
    before anything is read, if they are more than `most` bytes (None: any number).
    """
    if path == STDLIB:
        root, suffix = Path(sysconfig.get_paths()["stdlib"]), suffix or ".py"
    else:
        root = place(path, "The path of the texts")
    if files.kind(root) == "file":
        text, _ = _piece(root, most=most)
        if not text.size:
            raise BadInput(f"{path} is empty; it must be {FORM}")
        return _blocks(text)
    found = _files(root, suffix)
    if group is not None:
        found = [file for file in found if group(file.relative_to(root))]
    if not found:
        ending = f" ending in {suffix}" * bool(suffix)
        raise BadInput(f"{path} is empty; it must hold files{ending}")
    own = path != STDLIB
    total = sum(stamp(file).size for file in found)
    if most is not None and total > most:
        raise BadInput(
            f"The files of {path} have {total:,} bytes; it must be at most {most:,}"
        )
    texts = {file: _piece(file, own and group is None) for file in found}
    if own:
        texts = {file: known for file, known in texts.items() if known[0].size}
    if not any(text.size for text, _ in texts.values()):
        raise BadInput(f"{path} is empty; it must be {FORM}")
    named = [(file.relative_to(root), *known) for file, known in texts.items()]
    if group is not None:
        members = [
            splits.Member(os.fsencode(group(name)), size=text.size * own)
            for name, text, _ in named
        ]
    elif own:
        members = [
            splits.Member(key, name.as_posix(), size=text.size)
            for name, text, key in named
        ]
    else:
        members = [splits.Member(os.fsencode(name.as_posix())) for name, *_ in named]
    held = splits.assigned(
        members, splits.TEXTS, path, "or be one file, which is divided into blocks"
    )
    end = Piece(1, held=bytes([ENDS]))
    parts: dict[Split, list[Piece]] = {split: [] for split in SPLITS}
    for split, (_, text, _) in zip(held, named, strict=True):
        parts[split] += [end, text] if parts[split] else [text]
    return parts


def joined(contents: Iterable[bytes]) -> np.ndarray:
    """Texts as one array, a zero byte between them."""
    return np.frombuffer(bytes([ENDS]).join(contents), np.uint8)


def _piece(
    file: Path, hashed: bool = False, most: int | None = None
) -> tuple[Piece, bytes]:
    """A text as UTF-8 without a mark of byte order, and its digest if `hashed`.

    What is not UTF-16 or UTF-32 stays in its file. In UTF-16 every other byte of a
    European text is 0, which would end a segment after each letter. Raises `BadInput`
    for a mark that does not belong to what follows.
    """
    files.check(file, most)
    known = stamp(file)
    whole = Piece(known.size, 0, file, known)
    mark, encoding = _mark(whole)
    if mark not in (b"", codecs.BOM_UTF8):
        return _held(_decoded(file, mark, encoding))
    text = Piece(known.size - len(mark), len(mark), file, known)
    total, zeros = hashlib.blake2b(digest_size=splits.DIGEST), [0, 0]
    for chunk in text.chunks() if hashed or not mark else ():
        if hashed:
            total.update(chunk.data)
        # Most texts have no zero. CHUNK is even: so is an even place of a chunk.
        if not mark and np.count_nonzero(chunk) < len(chunk):
            for n in range(2):
                zeros[n] += len(chunk[n::2]) - int(np.count_nonzero(chunk[n::2]))
    for first, encoding in enumerate(("utf-16-be", "utf-16-le")):
        count, others = (known.size + 1 - first) // 2, (known.size + first) // 2
        if 2 * zeros[first] > count and 20 * zeros[1 - first] < others:
            with suppress(UnicodeDecodeError):
                content = files.content(file)[: known.size // 2 * 2]
                return _held(content.decode(encoding).encode())
    return text, total.digest()


def _mark(file: Piece) -> tuple[bytes, str]:
    """The mark of byte order that a file begins with, and what it stands for."""
    head = np.empty(min(file.size, max(map(len, files.MARKS))), np.uint8)
    file.into(head, 0)
    for mark, encoding in files.MARKS.items():
        if head.tobytes().startswith(mark):
            return mark, encoding
    return b"", ""


def _decoded(file: Path, mark: bytes, encoding: str) -> bytes:
    """The text of a file with a mark of UTF-16 or UTF-32, as UTF-8."""
    try:
        return files.content(file).removeprefix(mark).decode(encoding).encode()
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{file} begins as {encoding} and cannot be read ({error}); it must be "
            "text in UTF-8"
        ) from None


def _held(text: bytes) -> tuple[Piece, bytes]:
    return Piece(len(text), held=text), splits.digest(text)


def _files(root: Path, suffix: str) -> list[Path]:
    """Files below a directory in a fixed order, links to folders followed once.

    Hidden files, backups of editors and installed packages are left out.
    """

    def refuse(error: OSError) -> None:
        raise files.unreadable(Path(error.filename or root), error)

    found, seen = [], set()
    for folder, folders, names in os.walk(root, onerror=refuse, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders[:] = []
            continue
        seen.add(real)
        folders[:] = sorted(
            f for f in folders if f not in ("site-packages", "__pycache__")
            and not f.startswith(".")
        )  # fmt: skip
        found += [
            Path(folder, name)
            for name in sorted(names)
            if name.endswith(suffix)
            and not name.startswith((".", "#"))
            and not name.endswith("~")
        ]
    return [file for file in found if file.is_file()]


def _blocks(text: Piece) -> dict[Split, list[Piece]]:
    """A stream in order: 18 twentieths, one, and one."""
    cuts = [text.size * twentieths // splits.SLOTS for twentieths in (0, 18, 19, 20)]
    pairs = zip(SPLITS, cuts, cuts[1:], strict=False)
    return {split: [text.part(low, high)] for split, low, high in pairs}
