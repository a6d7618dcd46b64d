"""Damage to a file: cut, flipped, re-encoded, swollen, replaced by what is no file."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

HUGE = b"x" * 200_000
DEEP = b'{"a":' * 20_000 + b"[" * 80_000
EDGES = [
    n.to_bytes(size, "little")
    for size in (2, 4, 8)
    for n in (0, 1, 2 ** (8 * size - 1) - 1, 2 ** (8 * size - 1), 2 ** (8 * size) - 1)
]

Damage = Callable[[Path, np.random.Generator], None]


def _bytes(change: Callable[[bytearray, np.random.Generator], bytes]) -> Damage:
    def damage(path: Path, rng: np.random.Generator) -> None:
        path.write_bytes(change(bytearray(path.read_bytes()), rng))

    damage.__name__ = change.__name__.strip("_")
    return damage


@_bytes
def _cut(stored: bytearray, rng: np.random.Generator) -> bytes:
    return stored[: rng.integers(len(stored) + 1)]


@_bytes
def _beheaded(stored: bytearray, rng: np.random.Generator) -> bytes:
    return stored[rng.integers(len(stored) + 1) :]


@_bytes
def _flipped(stored: bytearray, rng: np.random.Generator) -> bytes:
    for place in rng.integers(len(stored), size=rng.integers(1, 9)).tolist():
        stored[place] ^= 1 << int(rng.integers(8))
    return stored


@_bytes
def _flipped_head(stored: bytearray, rng: np.random.Generator) -> bytes:
    for place in rng.integers(min(128, len(stored)), size=2).tolist():
        stored[place] = int(rng.integers(256))
    return stored


@_bytes
def _edge_of_a_number(stored: bytearray, rng: np.random.Generator) -> bytes:
    """A length, a rate or an offset becomes an extreme one."""
    edge = EDGES[rng.integers(len(EDGES))]
    at = int(rng.integers(max(1, min(256, len(stored) - len(edge)))))
    stored[at : at + len(edge)] = edge
    return stored


@_bytes
def _digits(stored: bytearray, rng: np.random.Generator) -> bytes:
    """A number that is written as text becomes a huge or a negative one."""
    places = [n for n, sign in enumerate(stored) if chr(sign).isdigit()]
    if places:
        at = places[rng.integers(len(places))]
        words = [b"99999999999999", b"-1", b"1e999", b"NaN", b"1.5", b"null", b'"7"']
        stored[at : at + 1] = words[rng.integers(len(words))]
    return stored


@_bytes
def _zeros(stored: bytearray, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(len(stored) + 1))
    size = int(rng.integers(1, 600))
    return stored[:at] + bytes(size) + stored[at + size * int(rng.integers(2)) :]


@_bytes
def _swollen(stored: bytearray, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(len(stored) + 1))
    return stored[:at] + HUGE + stored[at:]


@_bytes
def _nested(stored: bytearray, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(2)) * int(rng.integers(len(stored) + 1))
    return stored[:at] + DEEP


@_bytes
def _recoded(stored: bytearray, rng: np.random.Generator) -> bytes:
    text = bytes(stored).decode("latin-1")
    names = ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig", "utf-7")
    return text.encode(names[rng.integers(len(names))])


@_bytes
def _latin(stored: bytearray, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(len(stored) + 1))
    return stored[:at] + "é\xff\x80".encode("latin-1") + stored[at:]


@_bytes
def _emptied(stored: bytearray, rng: np.random.Generator) -> bytes:
    return b""


@_bytes
def _noise(stored: bytearray, rng: np.random.Generator) -> bytes:
    return rng.bytes(int(rng.integers(1, 3000)))


@_bytes
def _doubled(stored: bytearray, rng: np.random.Generator) -> bytes:
    return stored * 2


def missing(path: Path, rng: np.random.Generator) -> None:
    """The file is gone."""
    path.unlink()


def folder(path: Path, rng: np.random.Generator) -> None:
    """A directory has its name."""
    path.unlink()
    path.mkdir()


def pipe(path: Path, rng: np.random.Generator) -> None:
    """A pipe, which nobody writes into, has its name."""
    path.unlink()
    os.mkfifo(path)


def endless(path: Path, rng: np.random.Generator) -> None:
    """A link to a device without an end."""
    path.unlink()
    path.symlink_to("/dev/zero")


def looped(path: Path, rng: np.random.Generator) -> None:
    """A link to itself."""
    path.unlink()
    path.symlink_to(path)


def sparse(path: Path, rng: np.random.Generator) -> None:
    """A file of 100 GB that takes no room."""
    with open(path, "r+b") as file:
        file.truncate(100 * 2**30)


DAMAGES: tuple[Damage, ...] = (
    _cut, _beheaded, _flipped, _flipped_head, _edge_of_a_number, _digits, _zeros,
    _swollen, _nested, _recoded, _latin, _emptied, _noise, _doubled, missing, folder,
    pipe, endless, looped, sparse,
)  # fmt: skip


def copied(source: Path, target: Path) -> Path:
    """A copy of a folder to damage."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    return target


def files(root: Path) -> list[Path]:
    """The files of a folder in a fixed order."""
    return sorted(path for path in root.rglob("*") if path.is_file())
