"""Packed data sets: one memory-mapped array per feature, listed in a manifest.

    <data_dir>/packed/<name>/<version>/manifest.json
                                      /<split>/<feature>.npy
                                      /<split>/<feature>.offsets.npy
                            /refused.txt   why its content could not be packed

Reading needs only numpy.
"""

import hashlib
import os
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from attn_research.host.durable import Damaged, check_name, read_json
from attn_research.options import BadInput, nearest
from attn_research.tasks.data import files, manifests
from attn_research.tasks.data.catalogue import DATA_SETS
from attn_research.tasks.data.schema import Feature

VARIABLE = "ATTN_RESEARCH_DATA"
FOLDER, MANIFEST, REFUSED = "packed", "manifest.json", "refused.txt"
LARGEST = 2**28  # bytes of a manifest


@dataclass(frozen=True)
class Column:
    """A feature of every example of a split.

    `values` has all examples, concatenated. If they vary in length, example i is
    values[offsets[i] : offsets[i + 1]]; for `texts`, it is the texts from rows[i] to
    rows[i + 1], and `offsets` divides the texts.
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

    @property
    def size(self) -> int:
        """The number of values of all examples together, without reading them."""
        if self.offsets is None:
            return int(self.values.size)
        first, last = (0, -1) if self.rows is None else self.rows[[0, -1]]
        return int(self.offsets[last] - self.offsets[first])

    def __getitem__(self, place: int) -> Any:
        """The array of one example (text is uint8); for `texts` a list of arrays."""
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
    """The directory of data sets: as given, ATTN_RESEARCH_DATA, or the cache."""
    directory = given or os.environ.get(VARIABLE)
    return files.place(
        directory or "~/.cache/attn_research/data",
        "The directory of data sets",
        "a directory",
    )


def command(name: str, where: Path) -> str:
    """The command that prepares a data set."""
    raw = " --raw_dir=DIR" if name in DATA_SETS else ""
    place = shlex.quote(f"--data_dir={where}")
    return f"python scripts/prepare_data.py {name}{raw} {place}"


def location(name: str, where: Path) -> Path | None:
    """The directory of a packed data set, None if there is none.

    Its version is that of the catalogue, or the newest for a set of TFDS.
    """
    for part in name.split("/"):
        check_name(part, "The name of a data set")
    home = where / FOLDER / name
    if name in DATA_SETS:
        versions = [home / DATA_SETS[name].version]
    else:
        versions = sorted(path.parent for path in home.glob(f"[0-9]*/{MANIFEST}"))
    versions = [path for path in versions if (path / MANIFEST).exists()]
    return max(versions, key=_numbers, default=None)


def _numbers(path: Path) -> list[int]:
    return [int(part) for part in path.name.split(".") if part.isdecimal()]


def manifest(name: str, where: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """The manifest of a packed data set: counts, schema, sources, digests.

    Raises `BadInput` if it is not prepared, `Damaged` if the file is not what was
    written.
    """
    directory = _found(name, data_dir(where))
    files.check(directory / MANIFEST, LARGEST)
    content = read_json(directory / MANIFEST)
    if wrong := manifests.fault(content):
        raise _damaged(directory / MANIFEST, wrong)
    return content


def load(
    name: str, where: str | os.PathLike[str] | None = None, verify: bool = False
) -> Columns:
    """The columns of each split, memory-mapped.

    Sizes are always compared with the manifest, digests if `verify` is true. Raises
    `BadInput` if the set is not prepared, `Damaged` if a file is not what was
    written.
    """
    content = manifest(name, where)
    directory = _found(name, data_dir(where))
    features = {key: _feature(value) for key, value in content["features"].items()}
    loaded: Columns = {}
    for split, described in content["splits"].items():
        arrays = {
            file: _array(directory / split / file, facts, verify)
            for file, facts in described["arrays"].items()
        }
        loaded[split] = {
            key: _column(
                Column(
                    feature,
                    arrays[f"{key}.npy"],
                    arrays.get(f"{key}.offsets.npy"),
                    arrays.get(f"{key}.rows.npy"),
                ),
                described["examples"],
                directory / split / f"{key}.npy",
            )
            for key, feature in features.items()
        }
    return loaded


def _column(column: Column, examples: int, path: Path) -> Column:
    """The column; raises `Damaged` if its parts do not fit each other."""
    feature, values = column.feature, column.values
    if values.dtype != np.dtype(feature.dtype) or values.shape[1:] != feature.rest:
        raise _damaged(
            path,
            f"it holds {values.dtype} {values.shape}; its feature is {feature.dtype} "
            f"{feature.shape}",
        )
    inner: np.ndarray = values
    for edges in (column.offsets, column.rows):
        if edges is None:
            continue
        whole = edges.ndim == 1 and edges.dtype == np.int64 and len(edges) > 0
        if not whole or edges[0] != 0 or edges[-1] != len(inner):
            raise _damaged(path, "its offsets must begin at 0 and end at its length")
        if np.any(edges[1:] < edges[:-1]):
            raise _damaged(path, "its offsets must not fall")
        inner = edges[:-1]
    if len(column) != examples:
        raise _damaged(path, f"it has {len(column):,} of {examples:,} examples")
    return column


def _found(name: str, where: Path) -> Path:
    directory = location(name, where)
    if directory is not None:
        return directory
    refused = where / FOLDER / name / REFUSED
    if refused.exists():
        raise BadInput(refused.read_text(errors="replace").strip())
    if name not in DATA_SETS:
        raise BadInput(
            f"{name} is neither in the catalogue nor packed in {where} (if TFDS has "
            f"prepared it there, pack it with: {command(name, where)})"
            f"{nearest(name, {*DATA_SETS, *_packed(where)})}"
        )
    raise BadInput(
        f"The data set {name} is not prepared in {where}; prepare it with: "
        f"{command(name, where)}"
    )


def _packed(where: Path) -> list[str]:
    """The names of the sets that are packed in a directory of data sets."""
    home = where / FOLDER
    found = [
        path.parent.parent.relative_to(home)
        for depth in ("*", "*/*")  # TFDS has configs
        for path in home.glob(f"{depth}/[0-9]*/{MANIFEST}")
    ]
    return sorted({path.as_posix() for path in found})


def _feature(content: Mapping[str, Any]) -> Feature:
    shape, names = tuple(content["shape"]), tuple(content["names"])
    return Feature(content["kind"], content["about"], content["dtype"], shape, names)


def _array(path: Path, facts: Mapping[str, Any], verify: bool) -> np.ndarray:
    """A memory map of a file, checked against the manifest."""
    if files.kind(path) != "file":
        raise _damaged(path, "it must be a file")
    try:
        size = path.stat().st_size
        if size != facts["bytes"]:
            raise _damaged(path, f"{size:,} bytes, not {facts['bytes']:,}")
        if verify and digest(path) != facts["blake2b"]:
            raise _damaged(path, "its digest differs")
        array = np.lib.format.open_memmap(path, mode="r")
    except Damaged:
        raise
    except OSError as error:
        raise _damaged(path, error.strerror or "unreadable") from None
    except Exception as error:  # many kinds, by what is wrong with the header
        reason = " ".join(str(error).split())[:200]
        raise _damaged(path, reason or type(error).__name__) from None
    if array.dtype.str != facts["dtype"] or list(array.shape) != facts["shape"]:
        raise _damaged(path, f"it holds {array.dtype} {array.shape}")
    return array


def digest(path: Path) -> str:
    """The BLAKE2b of the bytes of a file."""
    with open(path, "rb") as file:
        hashed = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16))
    return hashed.hexdigest()


def _damaged(path: Path, reason: str) -> Damaged:
    return Damaged(f"{path} is damaged ({reason}); prepare the data set again")
