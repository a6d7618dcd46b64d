"""Packed data sets: one memory-mapped array a feature, found by a manifest.

    <data_dir>/packed/<name>/<version>/manifest.json
                                      /<split>/<feature>.npy
                                      /<split>/<feature>.offsets.npy

Reading needs numpy alone.
"""

import hashlib
import json
import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from attn_research.durable import Damaged, check_name, read_json
from attn_research.options import BadInput, nearest
from attn_research.tasks.data.catalogue import DATA_SETS
from attn_research.tasks.data.schema import Feature

VARIABLE = "ATTN_RESEARCH_DATA"
FOLDER, MANIFEST, LAYOUT = "packed", "manifest.json", 1


@dataclass(frozen=True)
class Column:
    """A feature of every example of a split.

    `values` holds all examples one after another. Where they vary in length, example
    i is values[offsets[i] : offsets[i + 1]]; of `texts`, it is the texts from rows[i]
    to rows[i + 1], and `offsets` divides the texts.
    """

    feature: Feature
    values: np.ndarray
    offsets: np.ndarray | None = None
    rows: np.ndarray | None = None

    def __len__(self) -> int:
        for edges in (self.rows, self.offsets):
            if edges is not None:
                return len(edges) - 1
        return len(self.values)

    def __getitem__(self, place: int) -> Any:
        """The array of one example (text is uint8); of `texts` a list of arrays."""
        if not 0 <= place < len(self):
            raise IndexError(place)
        if self.rows is not None:
            low, high = self.rows[place], self.rows[place + 1]
            return [self._stretch(text) for text in range(low, high)]
        return self.values[place] if self.offsets is None else self._stretch(place)

    def __iter__(self) -> Iterator[Any]:
        return (self[place] for place in range(len(self)))

    def part(self, low: int, high: int) -> "Column":
        """The examples from `low` up to `high`."""
        if self.rows is not None:
            return replace(self, rows=self.rows[low : high + 1])
        if self.offsets is not None:
            return replace(self, offsets=self.offsets[low : high + 1])
        return replace(self, values=self.values[low:high])

    def _stretch(self, place: int) -> np.ndarray:
        assert self.offsets is not None
        return self.values[self.offsets[place] : self.offsets[place + 1]]


Columns = dict[str, dict[str, Column]]


def data_dir(given: str | os.PathLike[str] | None = None) -> Path:
    """Where data sets lie: as given, as ATTN_RESEARCH_DATA says, or in the cache."""
    named = given or os.environ.get(VARIABLE)
    return Path(named or "~/.cache/attn_research/data").expanduser()


def command(name: str, where: Path) -> str:
    """The command that prepares a data set."""
    raw = " --raw_dir=DIR" if name in DATA_SETS else ""
    place = shlex.quote(f"--data_dir={where}")
    return f"python scripts/prepare_data.py {name}{raw} {place}"


def location(name: str, where: Path) -> Path | None:
    """The directory of a packed data set, None where there is none.

    That is the version of the catalogue, or for a set that TFDS knows the newest.
    """
    for part in name.split("/"):
        check_name(part, "The name of a data set")
    home = where / FOLDER / name
    if name in DATA_SETS:
        found = [home / DATA_SETS[name].version]
    else:
        found = sorted(path.parent for path in home.glob(f"[0-9]*/{MANIFEST}"))
    found = [path for path in found if (path / MANIFEST).exists()]
    return max(found, key=_numbers, default=None)


def _numbers(path: Path) -> list[int]:
    return [int(part) for part in path.name.split(".") if part.isdigit()]


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest with the digest of itself."""
    return {**content, "blake2b": _digest(content)}


def _digest(content: Mapping[str, Any]) -> str:
    plain = {name: value for name, value in content.items() if name != "blake2b"}
    line = json.dumps(plain, sort_keys=True).encode()
    return hashlib.blake2b(line, digest_size=16).hexdigest()


def manifest(name: str, where: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """What a packed data set says of itself: counts, schema, sources, digests.

    Raises `BadInput` where it is not prepared, `Damaged` where the file is not what was
    written.
    """
    directory = _found(name, data_dir(where))
    content = read_json(directory / MANIFEST)
    if content.get("blake2b") != _digest(content):
        raise _damaged(directory / MANIFEST, "its digest is another")
    if content["layout"] != LAYOUT:
        raise _damaged(directory / MANIFEST, f"layout {content['layout']}")
    return content


def load(
    name: str, where: str | os.PathLike[str] | None = None, verify: bool = False
) -> Columns:
    """The columns of each split, memory-mapped.

    Sizes are always compared with the manifest, digests where `verify` is true. Raises
    `BadInput` where the set is not prepared, `Damaged` where a file is not what was
    written.
    """
    content = manifest(name, where)
    directory = _found(name, data_dir(where))
    features = {key: _feature(value) for key, value in content["features"].items()}
    loaded: Columns = {}
    for split, told in content["splits"].items():
        arrays = {
            file: _array(directory / split / file, facts, verify)
            for file, facts in told["arrays"].items()
        }
        loaded[split] = {
            key: Column(
                feature,
                arrays[f"{key}.npy"],
                arrays.get(f"{key}.offsets.npy"),
                arrays.get(f"{key}.rows.npy"),
            )
            for key, feature in features.items()
        }
    return loaded


def _found(name: str, where: Path) -> Path:
    directory = location(name, where)
    if directory is not None:
        return directory
    if name not in DATA_SETS:
        raise BadInput(
            f"{name} is no data set of the catalogue, and none of that name is packed "
            f"in {where} (one that TFDS has prepared there is packed with: "
            f"{command(name, where)}){nearest(name, DATA_SETS)}"
        )
    raise BadInput(
        f"The data set {name} is not prepared in {where}; prepare it with: "
        f"{command(name, where)}"
    )


def _feature(told: Mapping[str, Any]) -> Feature:
    shape, names = tuple(told["shape"]), tuple(told["names"])
    return Feature(told["kind"], told["about"], told["dtype"], shape, names)


def _array(path: Path, facts: Mapping[str, Any], verify: bool) -> np.ndarray:
    """A memory map of a file that is what the manifest says."""
    try:
        size = path.stat().st_size
        if size != facts["bytes"]:
            raise _damaged(path, f"{size:,} bytes, not {facts['bytes']:,}")
        if verify and digest(path) != facts["blake2b"]:
            raise _damaged(path, "its digest is another")
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise _damaged(path, error.strerror or "unreadable") from None
    except ValueError as error:
        raise _damaged(path, str(error)) from None
    if found.dtype.str != facts["dtype"] or list(found.shape) != facts["shape"]:
        raise _damaged(path, f"it holds {found.dtype} {found.shape}")
    return found


def digest(path: Path) -> str:
    """The BLAKE2b of the bytes of a file."""
    with open(path, "rb") as file:
        told = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16))
    return told.hexdigest()


def _damaged(path: Path, reason: str) -> Damaged:
    return Damaged(f"{path} is damaged ({reason}); prepare the data set again")
