"""A user's own recordings: a folder of .wav files, each with the name of its class.

DIR/labels.csv with the columns file and label, and, if it likes, split; or else
DIR/LABEL/ANYTHING.wav
"""

import csv
import io
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from attn_research.options import BadInput, unknown
from attn_research.tasks.contract import SPLITS, Split
from attn_research.tasks.data.raw import parts

TABLE, COLUMNS = "labels.csv", ("file", "label")
KEPT = 2  # bytes of a sample; the finer ones of 24 and 32 bits are cut off


class Listed(NamedTuple):
    """A recording: its file below the folder, its class, its split."""

    file: str
    label: str
    split: Split


def listed(path: str) -> list[Listed]:
    """The recordings of a folder in the order of their names.

    Where no split is given, four fifths are to train on, a tenth each to choose and to
    test, by the hash of the file's name. Raises `BadInput` where a split has none.
    """
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise BadInput(f"{path} is no directory; give a folder of .wav files")
    table = folder / TABLE
    rows = list(_tabled(table) if table.exists() else _foldered(folder))
    if not rows:
        raise BadInput(
            f"{path} holds no recording; LABEL/NAME.wav, or NAME.wav and a {TABLE} "
            "with the columns file and label, is allowed"
        )
    free = [file for file, _, split in rows if not split]
    held = parts(free)
    found = sorted(Listed(f, label, split or held[f]) for f, label, split in rows)
    if len({row.label for row in found}) < 2:
        raise BadInput(
            f"All recordings of {path} are of the class {found[0].label}; two classes "
            "and more are allowed"
        )
    for split in SPLITS:
        if not any(row.split == split for row in found):
            raise BadInput(
                f"{path} holds {len(found)} recordings, and none of them is for the "
                f"{split} split; ten and more can be divided"
            )
    return found


def names(path: str) -> tuple[str, ...]:
    """The classes of a folder, in order."""
    return tuple(sorted({row.label for row in listed(path)}))


def _foldered(folder: Path) -> Iterator[tuple[str, str, Split | None]]:
    for file in folder.glob("*/*"):
        if file.suffix.lower() == ".wav":
            yield file.relative_to(folder).as_posix(), file.parent.name, None


def _tabled(table: Path) -> Iterator[tuple[str, str, Split | None]]:
    try:
        text = table.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{table} cannot be read ({error}); UTF-8 is allowed") from None
    reader = csv.DictReader(io.StringIO(text), restval="")
    if not set(COLUMNS) <= set(reader.fieldnames or ()):
        raise BadInput(
            f"{table} has the columns {', '.join(reader.fieldnames or ('none',))}; "
            "file and label, and if you like split, are needed"
        )
    seen = set()
    for row in reader:
        where, split = f"{table} line {reader.line_num}", row.get("split") or None
        if not row["file"] or not row["label"] or row["file"] in seen:
            raise BadInput(f"{where} names no file, no label, or a file twice")
        if split is not None and split not in SPLITS:
            raise unknown(f"split in {where}", split, SPLITS)
        seen.add(row["file"])
        yield row["file"], row["label"], split


def read(path: Path, rate: int) -> np.ndarray:
    """The samples of a file as int16, the mean of its channels.

    Raises `BadInput` for another rate, for what is no PCM, and for a damaged file.
    """
    try:
        with wave.open(str(path)) as file:
            channels, width, found, count, *_ = file.getparams()
            content = file.readframes(count)
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from None
    except (wave.Error, EOFError) as error:
        reason = str(error) or "it ends too early"
        raise BadInput(
            f"{path} is damaged or no PCM wave ({reason}); 8 to 32 bits of PCM are "
            "allowed"
        ) from None
    if found != rate:
        raise BadInput(
            f"{path} has {found:,} samples a second; {rate:,} are wanted: resample it"
        )
    if not count or len(content) != count * channels * width:
        raise BadInput(
            f"{path} is damaged: it tells of {count:,} samples and holds "
            f"{len(content) // (channels * width):,}"
        )
    wave_LC = _samples(content, width).reshape(-1, channels)
    return np.rint(wave_LC.mean(axis=1)).astype(np.int16)


def _samples(content: bytes, width: int) -> np.ndarray:
    """Numbers from -2^15 to 2^15 - 1, of little-endian ones of so many bytes."""
    if width == 1:  # the only ones without a sign
        return (np.frombuffer(content, np.uint8).astype(np.int32) - 128) << 8
    top = np.frombuffer(content, np.uint8).reshape(-1, width)[:, -KEPT:]
    return np.ascontiguousarray(top).view("<i2")[:, 0].astype(np.int32)
