"""Files that survive a kill and a power cut: atomic writes and one-writer logs.

A file is written to a temporary name, synced and renamed, and the directory synced, so
that a reader sees the old content or the new one. A log is appended to by one writer,
a whole line at a time; that it is one, a `lock.Lock` on the directory proves.
"""

import errno
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from attn_research.options import BadInput

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.=,+-]{0,119}")


class Damaged(BadInput):
    """What a file holds is not what was written into it."""


class Busy(BadInput):
    """Another process is writing into the directory."""


class DiskError(OSError):
    """The disk refused a write: full, over quota, read-only or broken."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns an error of the disk into a `DiskError` that names `path`."""
    try:
        yield
    except DiskError:
        raise
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        code = error.errno or errno.EIO
        raise DiskError(code, f"Could not write {path} ({reason})") from error


def check_name(name: str, what: str) -> str:
    """`name` where it is safe as a file name, refused (never repaired) otherwise."""
    if NAME.fullmatch(name) and ".." not in name:
        return name
    raise BadInput(
        f"{what} is {name!r}; allowed are at most 120 of A-Z a-z 0-9 _ . = , + - "
        "without '..', the first a letter or a digit"
    )


def fsync(path: Path) -> None:
    """Makes the content of a file, or the names in a directory, survive a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def fsync_tree(root: Path) -> None:
    """Makes every file and every name below `root` survive a power cut."""
    for folder, _, files in os.walk(root, topdown=False):
        for name in files:
            fsync(Path(folder, name))
        fsync(Path(folder))


def atomic_write(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Replaces a file as a whole; raises `DiskError` and leaves the old one."""
    path = Path(path)
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path):
        try:
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        fsync(path.parent)


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # numpy and jax arrays and scalars
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not JSON")


def to_json(value: Any, indent: int | None = None) -> str:
    """The JSON of `value`, arrays as lists."""
    return json.dumps(value, indent=indent, default=_plain)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Replaces a file with the JSON of `value`, arrays as lists."""
    atomic_write(path, to_json(value, indent=1) + "\n")


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The object in a JSON file; raises `Damaged` naming the file."""
    try:
        value = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise Damaged(f"{path} cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise Damaged(f"{path} is damaged (it is not JSON: {error})") from error
    if not isinstance(value, dict):
        raise Damaged(f"{path} is damaged (it holds no JSON object)")
    return value


# --- logs ----------------------------------------------------------------------------


def _whole(data: bytes) -> bytes:
    """`data` without the tail of a write that was cut short.

    A kill cuts a line before its newline; a power cut can leave blocks of zeros too.
    """
    data = data[: data.rfind(b"\n") + 1]
    while data:
        start = data.rfind(b"\n", 0, -1) + 1
        if b"\0" not in data[start:]:
            break
        data = data[:start]
    return data


def _records(path: Path, data: bytes) -> list[dict[str, Any]]:
    records = []
    for number, line in enumerate(data.splitlines(), 1):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            raise Damaged(f"{path} is damaged (line {number} is no JSON object)")
        records.append(record)
    return records


def read_journal(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The records of a log, none where there is no file; never changes the file.

    A tail that is still being written is left out; any other line that is no JSON
    object raises `Damaged` with its number.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise Damaged(f"{path} cannot be read ({error.strerror})") from error
    return _records(Path(path), _whole(data))


class Journal:
    """The one writer of a log of JSON objects, one a line.

    Opening cuts off a tail that was never acknowledged and, with `keep`, every record
    that it refuses: a run that resumes at a step writes what comes after it again.
    What was appended before a `commit` that returned survives a power cut.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        keep: Callable[[Mapping[str, Any]], bool] = lambda record: True,
    ):
        self.path = Path(path)
        data = self.path.read_bytes() if self.path.exists() else b""
        whole = _whole(data)
        lines = zip(
            whole.splitlines(keepends=True), _records(self.path, whole), strict=True
        )
        kept = b"".join(line for line, record in lines if keep(record))
        if kept != data or not self.path.exists():
            atomic_write(self.path, kept)
        self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._size = len(kept)

    def append(self, record: Mapping[str, Any]) -> None:
        """Adds one record as a whole line, or none of it."""
        line = (to_json(record) + "\n").encode()
        with writing(self.path):
            try:
                written = os.write(self._file, line)
                if written != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError:
                os.ftruncate(self._file, self._size)
                raise
        self._size += len(line)

    def commit(self) -> None:
        """Returns when every record appended so far survives a power cut."""
        with writing(self.path):
            os.fdatasync(self._file)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
