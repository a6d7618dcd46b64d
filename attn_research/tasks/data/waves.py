"""A user's own recordings: a folder of .wav files, each with the name of its class.

DIR/labels.csv with the columns file, label and, optionally, split; or else
DIR/LABEL/ANYTHING.wav
"""

import csv
import io
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from attn_research.options import BadInput, unknown
from attn_research.tasks.contract import SPLITS, Split
from attn_research.tasks.data import files, splits

TABLE, COLUMNS = "labels.csv", ("file", "label")
FORM = "a directory of .wav files"
LONGEST = 4096  # signs of a cell of the table


class Listed(NamedTuple):
    """A recording: its file below the folder, its class, its split."""

    file: str
    label: str
    split: Split


class Unlisted(NamedTuple):
    """A recording whose split may not be given."""

    file: str
    label: str
    split: Split | None


def listed(path: str) -> list[Listed]:
    """The recordings of a folder in the order of their names.

    A recording whose split is not given is assigned by the hash of its content, 14 of
    20 for training, 3 each for validation and test (`splits.assigned`). Raises
    `BadInput` if there are too few.
    """
    folder, rows = _rows(path)
    members = [
        splits.Member(
            b"" if row.split else splits.digest(files.content(folder / row.file)), *row
        )
        for row in rows
    ]
    held = splits.assigned(
        members, splits.RECORDINGS, path, f"or name the splits in {TABLE}"
    )
    return [
        Listed(row.file, row.label, split)
        for row, split in zip(rows, held, strict=True)
    ]


def names(path: str) -> tuple[str, ...]:
    """The classes of a folder, in order."""
    return tuple(sorted({row.label for row in _rows(path)[1]}))


def _rows(path: str) -> tuple[Path, list[Unlisted]]:
    """The folder, and its recordings in the order of their names."""
    folder = files.place(path, "The folder of recordings", FORM)
    if files.kind(folder) != "directory":
        raise BadInput(f"{path} must be {FORM}")
    table = folder / TABLE
    try:
        given = files.kind(table) != "missing"
        found = _tabled(table) if given else _foldered(folder)
        rows = sorted(found)
    except OSError as error:
        raise files.unreadable(folder, error) from None
    if not rows:
        raise BadInput(
            f"{path} has no recordings; they must be LABEL/NAME.wav, or NAME.wav "
            f"beside a {TABLE} with the columns file and label"
        )
    for row in rows:
        if not row.label.isprintable():
            raise BadInput(
                f"The class of {row.file!r} in {path} is {row.label!r}; it must be "
                "printable text in UTF-8"
            )
    if len({row.label for row in rows}) < 2:
        raise BadInput(
            f"All recordings of {path} are of the class {rows[0].label}; the classes "
            "must be at least two"
        )
    return folder, rows


def _foldered(folder: Path) -> Iterator[Unlisted]:
    for label in sorted(folder.iterdir()):
        if label.name.startswith(".") or not label.is_dir():
            continue
        for file in label.iterdir():
            if file.suffix.lower() == ".wav" and not file.name.startswith("."):
                yield Unlisted(f"{label.name}/{file.name}", label.name, None)


def _tabled(table: Path) -> Iterator[Unlisted]:
    reader = csv.DictReader(io.StringIO(files.table(table)), restval="")
    try:
        rows = [(reader.line_num, row) for row in reader]
        columns = reader.fieldnames or ("none",)
    except csv.Error as error:
        raise BadInput(
            f"{table} line {reader.line_num + 1} cannot be read ({error}); it must be "
            "a table of comma-separated values"
        ) from None
    if not set(COLUMNS) <= set(columns):
        raise BadInput(
            f"{table} has the columns {', '.join(columns)[:300]}; they must be file, "
            "label and, optionally, split"
        )
    seen = set()
    for line, cells in rows:
        row = {name: (cells[name] or "").strip() for name in columns}
        where, split = f"{table} line {line}", row.get("split") or None
        longest = max(map(len, row.values()))
        if longest > LONGEST:
            raise BadInput(
                f"{where} has a value of {longest:,} signs; it must be at most "
                f"{LONGEST:,}"
            )
        if not row["file"] or not row["label"] or row["file"] in seen:
            raise BadInput(f"{where} must name a file, not named before, and a label")
        if split is not None and split not in SPLITS:
            raise unknown(f"split in {where}", split, SPLITS)
        seen.add(row["file"])
        yield Unlisted(row["file"], row["label"], split)


# --- one recording -------------------------------------------------------------------

PCM, EXTENSIBLE = 1, 0xFFFE
WIDTHS = (1, 2, 3, 4)
KEPT = 2  # bytes of a sample; samples of 24 and 32 bits are truncated


def read(path: Path, rate: int) -> np.ndarray:
    """The samples of a file as int16, the mean of its channels.

    Raises `BadInput` for another rate, another encoding than PCM, or a damaged file.
    The extensible header, as ffmpeg writes it, is read like the plain one.
    """
    stored = files.content(Path(path))
    try:
        channels, width, found, size, samples = _chunks(stored)
    except ValueError as error:
        raise BadInput(
            f"{path} cannot be read as a wave ({error}); it must be PCM of 8 to 32 bits"
        ) from None
    if found != rate:
        raise BadInput(
            f"{path} has {found:,} samples a second; it must be {rate:,}: resample it"
        )
    if not size or len(samples) != size or size % (channels * width):
        raise BadInput(
            f"{path} is damaged: its header says {size // (channels * width):,} "
            f"samples, it has {len(samples) // (channels * width):,}"
        )
    wave_LC = _samples(samples, width).reshape(-1, channels)
    return np.rint(wave_LC.mean(axis=1)).astype(np.int16)


def _chunks(stored: bytes) -> tuple[int, int, int, int, bytes]:
    """Channels, bytes of a sample, rate, and the size and bytes of the samples.

    Raises `ValueError` with the reason if a file has none.
    """
    if len(stored) < 12:
        raise ValueError("it ends too early")
    if stored[:4] != b"RIFF" or stored[8:12] != b"WAVE":
        raise ValueError("it does not begin as one")
    at, form = 12, None
    while at + 8 <= len(stored):
        name, size = struct.unpack_from("<4sI", stored, at)
        body = stored[at + 8 : at + 8 + size]
        if name == b"fmt ":
            form = _form(body)
        elif name == b"data":
            if form is None:
                raise ValueError("its samples come before their format")
            return *form, size, body
        at += 8 + size + size % 2  # chunks are of an even size
    raise ValueError("it ends too early")


def _form(body: bytes) -> tuple[int, int, int]:
    """Channels, bytes of a sample and rate of PCM."""
    if len(body) < 16:
        raise ValueError("it ends too early")
    tag, channels, rate, _, block, bits = struct.unpack_from("<HHIIHH", body)
    if tag == EXTENSIBLE and len(body) >= 26:
        (tag,) = struct.unpack_from("<H", body, 24)
    if tag != PCM:
        raise ValueError(f"unknown format: {tag}")
    width = -(-bits // 8)
    if width not in WIDTHS or not channels or block != channels * width:
        raise ValueError(
            f"{channels} channels of {bits} bits in blocks of {block} bytes"
        )
    return channels, width, rate


def _samples(content: bytes, width: int) -> np.ndarray:
    """Numbers from -2^15 to 2^15 - 1, from little-endian ones of `width` bytes."""
    if width == 1:  # the only unsigned width
        return (np.frombuffer(content, np.uint8).astype(np.int32) - 128) << 8
    top = np.frombuffer(content, np.uint8).reshape(-1, width)[:, -KEPT:]
    return np.ascontiguousarray(top).view("<i2")[:, 0].astype(np.int32)
