"""Writes packed data sets, each as a whole or not at all."""

import os
import shutil
from array import array
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from attn_research import durable
from attn_research.options import BadInput
from attn_research.tasks.data.packed import FOLDER, LAYOUT, MANIFEST, digest, sealed
from attn_research.tasks.data.schema import Example, Feature


def write(
    name: str,
    version: str,
    features: Mapping[str, Feature],
    splits: Mapping[str, Iterable[Example]],
    where: Path,
    facts: Mapping[str, Any],
) -> Path:
    """Packs the examples of each split, in order, and returns the directory.

    `facts` go into the manifest. Replaces what lies there; the caller holds the lock of
    the data set. Raises `BadInput` where an example does not fit its feature,
    `DiskError` where the disk refuses.
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
                split: _split(temporary / split, features, examples)
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
    """Puts a directory where another one may be."""
    old = made.with_name(f".{home.name}.old.tmp")
    if home.exists():
        home.rename(old)
    made.rename(home)
    durable.fsync(home.parent)
    shutil.rmtree(old, ignore_errors=True)


def _split(
    folder: Path, features: Mapping[str, Feature], examples: Iterable[Example]
) -> dict[str, Any]:
    """Writes one split; returns how many examples it has, and facts of each file."""
    folder.mkdir(parents=True)
    with ExitStack() as stack:
        columns = {
            name: stack.enter_context(_Column(folder, name, feature))
            for name, feature in features.items()
        }
        count = 0
        for example in examples:
            for name, column in columns.items():
                column.add(example[name])
            count += 1
        arrays = {}
        for column in columns.values():
            arrays |= column.finish()
    return {"examples": count, "arrays": arrays}


class _Column:
    """A feature on its way to the disk, an example at a time."""

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
        """Appends one example; raises `BadInput` where it has another form."""
        if self.feature.kind == "texts":
            for item in value:
                self._append(_bytes(item))
            self.rows.append(len(self.offsets) - 1)
        elif self.feature.kind == "text":
            self._append(_bytes(value))
        else:
            found = np.asarray(value, self.feature.dtype)
            self._append(found if self.feature.varies else found[None])

    def _append(self, values: np.ndarray) -> None:
        if values.shape[1:] != self.feature.rest:
            raise BadInput(
                f"An example of {self.name} has the axes {values.shape[1:]}; "
                f"{self.feature.rest} are expected"
            )
        self.file.write(values.tobytes())
        self.length += len(values)
        self.offsets.append(self.length)

    def finish(self) -> dict[str, dict[str, Any]]:
        """Ends the files of the column and says what each holds."""
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
    """A text as numbers; readers give bytes, mocks of them strings."""
    content = value.encode() if isinstance(value, str) else value
    return np.frombuffer(content, np.uint8)
