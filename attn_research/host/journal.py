"""Logs with one writer: JSON objects, a whole sealed line at a time.

A `lock.Lock` on the directory proves that there is one writer.
"""

import errno
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from attn_research.host import seals
from attn_research.host.durable import (
    Damaged,
    atomic_write,
    to_json,
    unreadable,
    writing,
)


def _record(path: Path, number: int, line: bytes, chain: seals.Chain) -> dict[str, Any]:
    """The record in one line, whose seal is checked."""
    try:
        chain.follow(line)
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        reason = error if not isinstance(error, json.JSONDecodeError) else "no JSON"
        raise Damaged(f"{path} is damaged (line {number}: {reason})") from error
    if not isinstance(record, dict):
        raise Damaged(f"{path} is damaged (line {number} must be a JSON object)")
    record.pop("seal", None)
    return record


def _lines(file: Iterable[bytes]) -> Iterator[bytes]:
    """Whole lines, without their newlines and without the tail of a cut-off write.

    A kill cuts a line before its newline; a power cut can leave blocks of zeros too.
    """
    doubtful: list[bytes] = []
    for line in file:
        doubtful.append(line)
        if line.endswith(b"\n") and b"\0" not in line:
            yield from (kept.removesuffix(b"\n") for kept in doubtful)
            doubtful = []


def stream_journal(
    path: str | os.PathLike[str], end: str | None = None
) -> Iterator[dict[str, Any]]:
    """The records of a log one by one, none if there is no file; see `read_journal`."""
    chain = seals.Chain()
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(_lines(file), 1):
                yield _record(Path(path), number, line, chain)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise unreadable(path, error) from error
    if end is not None and end != chain.seal:
        raise Damaged(f"{path} is damaged (its end is not the one that was written)")


def read_journal(
    path: str | os.PathLike[str], end: str | None = None
) -> list[dict[str, Any]]:
    """The records of a log, [] if there is no file; never changes the file.

    A tail that is still being written is left out, unless `end`, the seal of the last
    line, is known. Any other line that differs from what was written raises `Damaged`
    with its number.
    """
    return list(stream_journal(path, end))


class Journal:
    """The only writer of a log of JSON objects, one per line.

    Opening cuts off a tail that was never acknowledged, and every record from the first
    one that `keep` refuses on: a run that resumes at a step writes those again. Records
    appended before a `commit` that returned survive a power cut.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        keep: Callable[[Mapping[str, Any]], bool] = lambda record: True,
    ):
        self.path, self._chain = Path(path), seals.Chain()
        data = self.path.read_bytes() if self.path.exists() else b""
        read, size = seals.Chain(), 0
        for number, line in enumerate(_lines(io.BytesIO(data)), 1):
            if not keep(_record(self.path, number, line, read)):
                break
            self._chain.follow(line)
            size += len(line) + 1
        kept = data[:size]
        if kept != data or not self.path.exists():
            atomic_write(self.path, kept)
        self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._size = len(kept)

    @property
    def seal(self) -> str:
        """The seal of the last line, which covers all of them; "" if there is none."""
        return self._chain.seal

    def append(self, record: Mapping[str, Any]) -> None:
        """Adds one record as a whole line, or nothing."""
        before = self._chain.seal
        line = self._chain.sealed(to_json(record))
        with writing(self.path):
            try:
                written = os.write(self._file, line)
                if written != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError:
                self._chain.seal = before
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
