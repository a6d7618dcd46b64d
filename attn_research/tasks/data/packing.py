"""Writing packed data sets, each completely or not at all."""

import os
import shutil
from array import array
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from attn_research.host import durable
from attn_research.options import BadInput
from attn_research.tasks.data.manifests import LAYOUT, sealed
from attn_research.tasks.data.packed import FOLDER, MANIFEST, digest
from attn_research.tasks.data.schema import Example, Feature, numbers

UNKNOWN = -1  # the class of an example without one, as TFDS writes it


def write(
    name: str,
    version: str,
    features: Mapping[str, Feature],
    splits: Mapping[str, Iterable[Example]],
    where: Path,
    facts: Mapping[str, Any],
    orders: Mapping[str, Sequence[int]] | None = None,
) -> Path:
    """Packs the examples of each split, in order, and returns the directory.

    `facts` go into the manifest. Replaces what lies there; the caller holds the lock of
    the data set. Raises `Unfit` if an example does not fit its feature: it is called
    by its number in `orders`, else by its place. Raises `DiskError` if the disk
    refuses.
    """
    home = where / FOLDER / name / version
    temporary = home.with_name(f".{version}.{os.getpid()}.tmp")
    for key in [*features, *splits]:
        durable.check_name(key, f"A feature or split of {name}")
    with durable.writing(home):
        for left in home.parent.glob(".*.tmp"):  # of a writer that was killed
            shutil.rmtree(left)
        try:
            written = {
                split: _split(
                    temporary / split,
                    features,
                    examples,
                    f"of {name} ({split})",
                    (orders or {}).get(split),
                )
                for split, examples in splits.items()
            }
            content = {
                "layout": LAYOUT,
                "name": name,
                "version": version,
                "features": {key: vars(feature) for key, feature in features.items()},
                "splits": written,
                **facts,
            }
            durable.write_json(temporary / MANIFEST, sealed(content))
            durable.fsync_tree(temporary)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        _replace(home, temporary)
    return home


def _replace(home: Path, made: Path) -> None:
    """Moves a directory into place, replacing an existing one."""
    old = made.with_name(f".{home.name}.old.tmp")
    if home.exists():
        home.rename(old)
    made.rename(home)
    durable.fsync(home.parent)
    shutil.rmtree(old, ignore_errors=True)


def _split(
    folder: Path,
    features: Mapping[str, Feature],
    examples: Iterable[Example],
    whose: str,
    order: Sequence[int] | None,
) -> dict[str, Any]:
    """Writes one split; returns its number of examples and the facts of each file."""
    folder.mkdir(parents=True)
    with ExitStack() as stack:
        columns = {
            name: stack.enter_context(_Column(folder, name, feature))
            for name, feature in features.items()
        }
        count = 0
        for example in examples:
            try:
                for name, column in columns.items():
                    column.add(example[name])
            except BadInput as error:
                number = count if order is None else order[count]
                raise Unfit(f"Example {number} {whose} {error}") from None
            count += 1
        arrays = {}
        for column in columns.values():
            arrays |= column.finish()
    return {"examples": count, "arrays": arrays}


class Unfit(BadInput):
    """An example whose content does not fit its feature."""


class _Column:
    """A feature written to disk, one example at a time."""

    def __init__(self, folder: Path, name: str, feature: Feature):
        self.folder, self.name, self.feature = folder, name, feature
        self.length = 0
        self.offsets, self.rows = array("q", [0]), array("q", [0])
        self.file = open(folder / f"{name}.npy", "wb")
        self._head()

    def __enter__(self) -> "_Column":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def _head(self) -> None:
        """Writes the header; numpy leaves room in it for a longer first axis."""
        facts = {
            "descr": np.lib.format.dtype_to_descr(np.dtype(self.feature.dtype)),
            "fortran_order": False,
            "shape": (self.length, *self.feature.rest),
        }
        np.lib.format.write_array_header_1_0(self.file, facts)

    def add(self, value: Any) -> None:
        """Appends one example; raises `BadInput` if it does not fit the feature."""
        if self.feature.kind == "texts":
            for item in value:
                self._append(_bytes(item))
            self.rows.append(len(self.offsets) - 1)
        elif self.feature.kind == "text":
            self._append(_bytes(value))
        elif self.feature.kind == "label":
            self._append(np.asarray([self._class(value)], self.feature.dtype))
        else:
            found = numbers(self.feature, self.name, value)
            self._append(found if self.feature.varies else found[None])

    def _class(self, value: Any) -> int:
        """The number of a class, or `UNKNOWN`; sets without names may have any."""
        number, count = int(value), len(self.feature.names)
        if count and number != UNKNOWN and not 0 <= number < count:
            raise BadInput(
                f"has the {self.name} {number}; it must be 0 to {count - 1}, or "
                f"{UNKNOWN} if it is unknown"
            )
        return number

    def _append(self, values: np.ndarray) -> None:
        self.file.write(values.tobytes())
        self.length += len(values)
        self.offsets.append(self.length)

    def finish(self) -> dict[str, dict[str, Any]]:
        """Closes the files of the column; returns the facts of each."""
        self.file.seek(0)
        self._head()
        self.file.close()
        found = {f"{self.name}.npy": (self.length, *self.feature.rest)}
        dtypes = {f"{self.name}.npy": np.dtype(self.feature.dtype).str}
        edges = {"offsets": self.offsets} if self.feature.varies else {}
        if self.feature.kind == "texts":
            edges["rows"] = self.rows
        for kind, values in edges.items():
            file = f"{self.name}.{kind}.npy"
            np.save(self.folder / file, np.array(values, np.int64))
            found[file], dtypes[file] = (len(values),), np.dtype(np.int64).str
        return {
            file: {
                "bytes": (self.folder / file).stat().st_size,
                "dtype": dtypes[file],
                "shape": list(shape),
                "blake2b": digest(self.folder / file),
            }
            for file, shape in found.items()
        }


def _bytes(value: bytes | str) -> np.ndarray:
    """A text as numbers, from bytes or a string."""
    content = value.encode() if isinstance(value, str) else value
    return np.frombuffer(content, np.uint8)
