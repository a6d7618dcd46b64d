"""Texts of a file or a directory: which files are read, how, and for which split."""

import codecs
import os
import sysconfig
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import numpy as np

from attn_research.options import INT_MAX, BadInput
from attn_research.tasks.contract import SPLITS, Split
from attn_research.tasks.data import files, splits

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
    """The bytes of each split of a file or directory, as uint8 arrays.

    The files of a directory are assigned by the hash of their content, 18 of 20 for
    training, one each for validation and test (`splits.assigned`), or if there is a
    `group`, all of a group together, by its name; files without one are skipped. The
    library of Python, `stdlib`, is assigned by relative paths.
    """
    if path == STDLIB:
        root, suffix = Path(sysconfig.get_paths()["stdlib"]), suffix or ".py"
    else:
        root = place(path, "The path of the texts")
    if files.kind(root) == "file":
        text = _as_utf8(root)
        if not text:
            raise BadInput(f"{path} is empty; it must be {FORM}")
        return _blocks(np.frombuffer(text, np.uint8))
    found = _files(root, suffix)
    if group is not None:
        found = [file for file in found if group(file.relative_to(root))]
    if not found:
        ending = f" ending in {suffix}" * bool(suffix)
        raise BadInput(f"{path} is empty; it must hold files{ending}")
    own = path != STDLIB
    total = sum(file.stat().st_size for file in found)
    if total > INT_MAX:
        raise BadInput(
            f"The files of {path} have {total:,} bytes; it must be at most {INT_MAX:,}"
        )
    texts = {file: _as_utf8(file) for file in found}
    if own:
        texts = {file: text for file, text in texts.items() if text}
    if not any(texts.values()):
        raise BadInput(f"{path} is empty; it must be {FORM}")
    names = [file.relative_to(root) for file in texts]
    if group is not None:
        members = [
            splits.Member(os.fsencode(group(name)), size=len(text) * own)
            for name, text in zip(names, texts.values(), strict=True)
        ]
    elif own:
        pairs = zip(texts.values(), names, strict=True)
        members = [
            splits.Member(splits.digest(text), name.as_posix(), size=len(text))
            for text, name in pairs
        ]
    else:
        members = [splits.Member(os.fsencode(name.as_posix())) for name in names]
    held = splits.assigned(
        members, splits.TEXTS, path, "or be one file, which is divided into blocks"
    )
    parts: dict[Split, list[bytes]] = {split: [] for split in SPLITS}
    for split, content in zip(held, texts.values(), strict=True):
        parts[split].append(content)
    return {split: joined(contents) for split, contents in parts.items()}


def joined(contents: Iterable[bytes]) -> np.ndarray:
    """Texts as one array, a zero byte between them."""
    return np.frombuffer(bytes([ENDS]).join(contents), np.uint8)


def _as_utf8(file: Path) -> bytes:
    """A text as UTF-8 without a mark of byte order; what is not UTF-16 stays.

    In UTF-16 every other byte of a European text is 0, which would end a segment after
    each letter. Raises `BadInput` for a mark that does not belong to what follows.
    """
    content = files.content(file)
    for mark, encoding in files.MARKS.items():
        if content.startswith(mark):
            rest = content.removeprefix(mark)
            try:
                return rest.decode(encoding).encode()
            except UnicodeDecodeError as error:
                if mark == codecs.BOM_UTF8:  # each letter that is not UTF-8 is a byte
                    return rest
                raise BadInput(
                    f"{file} begins as {encoding} and cannot be read ({error}); it "
                    "must be text in UTF-8"
                ) from None
    for first, encoding in enumerate(("utf-16-be", "utf-16-le")):
        zeros, others = content[first::2], content[1 - first :: 2]
        if 2 * zeros.count(0) > len(zeros) and 20 * others.count(0) < len(others):
            with suppress(UnicodeDecodeError):
                return content[: len(content) // 2 * 2].decode(encoding).encode()
    return content


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


def _blocks(data: np.ndarray) -> dict[str, np.ndarray]:
    """A stream in order: 18 twentieths, one, and one."""
    cuts = [data.size * twentieths // splits.SLOTS for twentieths in (0, 18, 19, 20)]
    pairs = zip(cuts, cuts[1:], strict=False)
    return {
        split: data[low:high] for split, (low, high) in zip(SPLITS, pairs, strict=True)
    }
