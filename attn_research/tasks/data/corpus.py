"""Bytes that stay in their files: read a stretch at a time, wherever it begins.

A corpus may be larger than memory and than what 32 bits count. What is read of a file
is compared with what it was when the corpus was opened: one that has changed since is
refused, since its digest is part of a run.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from attn_research.options import BadInput
from attn_research.tasks.data import files

CHUNK = 2**24  # bytes that are looked at together


class Stamp(NamedTuple):
    """What tells that a file is still the same."""

    size: int
    changed: int  # nanoseconds
    inode: int


@dataclass(frozen=True)
class Piece:
    """`size` bytes of a file from `low` on, or bytes that are `held`."""

    size: int
    low: int = 0
    path: Path | None = None
    stamp: Stamp | None = None
    held: bytes = b""

    def into(self, out: np.ndarray, start: int) -> None:
        """Fills the uint8 array `out` with the bytes from `start` on.

        Raises `BadInput` if the file cannot be read, or has changed.
        """
        if self.path is None:
            out[:] = np.frombuffer(self.held, np.uint8, len(out), start)
            return
        try:
            with open(self.path, "rb", buffering=0) as file:
                if stamp(file.fileno()) != self.stamp:
                    raise self._changed()
                done, view = 0, out.data
                while done < len(out):
                    at = self.low + start + done
                    count = os.preadv(file.fileno(), [view[done:]], at)
                    if not count:
                        raise self._changed()
                    done += count
        except (OSError, ValueError) as error:
            raise files.unreadable(self.path, error) from None

    def chunks(self, step: int = CHUNK) -> Iterator[np.ndarray]:
        """All bytes, `step` at a time; each array is overwritten by the next."""
        buffer = np.empty(min(step, self.size), np.uint8)
        for start in range(0, self.size, step):
            part = buffer[: min(step, self.size - start)]
            self.into(part, start)
            yield part

    def part(self, low: int, high: int) -> "Piece":
        """The bytes from `low` up to `high` of these."""
        held = self.held[low:high] if self.path is None else b""
        return replace(self, size=high - low, low=self.low + low, held=held)

    def _changed(self) -> BadInput:
        return BadInput(
            f"{self.path} has changed while it was read; it must stay as it is"
        )


def stamp(file: int | Path) -> Stamp:
    """The stamp of a file; raises `BadInput` if it cannot be looked at."""
    try:
        known = os.stat(file)
    except (OSError, ValueError) as error:
        raise files.unreadable(Path(str(file)), error) from None
    return Stamp(known.st_size, known.st_mtime_ns, known.st_ino)


class Bytes:
    """Pieces one after another as an array of uint8 that is read where it is asked for.

    `bytes[low:high]` is a new array; `dtype` and `shape` are those of an array, so that
    its digest is that of the array.
    """

    def __init__(self, pieces: Sequence[Piece]):
        self.pieces = tuple(piece for piece in pieces if piece.size)
        self._ends = np.cumsum([piece.size for piece in self.pieces], dtype=np.int64)
        self.dtype = np.dtype(np.uint8)

    def __len__(self) -> int:
        return int(self._ends[-1]) if self.pieces else 0

    @property
    def shape(self) -> tuple[int]:
        """The number of bytes, as the shape of an array."""
        return (len(self),)

    def __getitem__(self, part: slice) -> np.ndarray:
        low, high, _ = part.indices(len(self))
        return self.rows(np.array([low]), max(high - low, 0))[0]

    def rows(self, start_B: np.ndarray, length: int) -> np.ndarray:
        """row_BT: the `length` bytes from each start on."""
        row_BT = np.empty((len(start_B), length), np.uint8)
        # In the order of the file: a disk reads ahead.
        for row in np.argsort(start_B, kind="stable").tolist():
            self._read(row_BT[row], int(start_B[row]))
        return row_BT

    def _read(self, out: np.ndarray, start: int) -> None:
        if not 0 <= start <= len(self) - len(out):
            raise IndexError(f"{start} to {start + len(out)} of {len(self)} bytes")
        place, done = int(np.searchsorted(self._ends, start, side="right")), 0
        while done < len(out):
            piece = self.pieces[place]
            within = start + done - (int(self._ends[place]) - piece.size)
            count = min(len(out) - done, piece.size - within)
            piece.into(out[done : done + count], within)
            done, place = done + count, place + 1
