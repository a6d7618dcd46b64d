"""TFDS as archive: writes data sets as array_record, and reads any prepared one.

The only file that imports tensorflow_datasets, inside its functions; it needs neither
TensorFlow nor the network, and never looks up a name in the catalogue of TFDS.
"""

import contextlib
import errno
import io
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from absl import logging

from attn_research.host import durable
from attn_research.options import BadInput
from attn_research.tasks.data import files
from attn_research.tasks.data.schema import (
    DataSet,
    Example,
    Feature,
    array,
    label,
    text,
    texts,
)

FORMAT = "array_record"
SHARD = 2**34  # bytes of a file of a data set: TFDS writes shards of at most 1 GB


class Archive(NamedTuple):
    """A prepared data set: its features, and the examples of each split in order."""

    version: str
    features: dict[str, Feature]
    splits: dict[str, "Records"]


def write(
    data: DataSet, splits: Mapping[str, Iterable[Example]], data_dir: Path
) -> Path:
    """Writes the examples of each split, in order, and returns the directory.

    Replaces an existing one. The caller holds the lock of the data set.
    """
    tfds = _tfds()
    built = _builder(tfds, data, splits)
    home = data_dir / data.name
    for left in [*home.glob("incomplete.*"), home / data.version]:  # of a killed writer
        shutil.rmtree(left, ignore_errors=True)
    with (
        _disk(home),
        contextlib.redirect_stdout(io.StringIO()),
        tempfile.TemporaryDirectory() as nowhere,
    ):
        made = built(data_dir=data_dir)
        made.download_and_prepare(
            download_dir=nowhere,
            download_config=tfds.download.DownloadConfig(try_download_gcs=False),
            file_format=FORMAT,
        )
        durable.fsync_tree(home / data.version)
    return home / data.version


@contextlib.contextmanager
def _disk(path: Path) -> Iterator[None]:
    """Turns a disk error of array_record into a `DiskError` that names `path`."""
    try:
        with durable.writing(path):
            yield
    except RuntimeError as error:
        failed = re.search(r"\w+\(\) failed: ([^;]+)", str(error))
        if failed is None:
            raise
        codes = {os.strerror(code): code for code in errno.errorcode}
        code = codes.get(failed[1], errno.EIO)
        raise durable.DiskError(
            code, f"Could not write {path} ({failed[1]})"
        ) from error


def _builder(tfds: Any, data: DataSet, splits: Mapping[str, Iterable[Example]]) -> Any:
    """A builder class of TFDS for one data set, outside every registry."""

    def info(self: Any) -> Any:
        features = {name: _tfds_feature(tfds, f) for name, f in data.features.items()}
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"{data.task}; split: {data.split}",
            features=tfds.features.FeaturesDict(features),
            homepage=data.source,
            license=data.licence,
            disable_shuffling=True,  # documents stay together
        )

    def generators(self: Any, downloads: Any) -> dict[str, Iterator]:
        return {split: enumerate(splits[split]) for split in splits}

    members = {
        "name": data.name,
        "VERSION": tfds.core.Version(data.version),
        "_info": info,
        "_split_generators": generators,
        "_generate_examples": None,
        "__module__": __name__,
    }
    with tfds.core.registered.skip_registration():
        return type(data.name, (tfds.core.GeneratorBasedBuilder,), members)


def _tfds_feature(tfds: Any, feature: Feature) -> Any:
    kinds = tfds.features
    if feature.kind == "text":
        return kinds.Text(doc=feature.about)
    if feature.kind == "texts":
        return kinds.Sequence(kinds.Text(), doc=feature.about)
    if feature.kind == "label":
        return kinds.ClassLabel(names=feature.names, doc=feature.about)
    # As bytes: lists of numbers are ten times larger and slower, and lose float64.
    return kinds.Tensor(
        shape=feature.shape,
        dtype=np.dtype(feature.dtype),
        encoding=kinds.Encoding.BYTES,
        doc=feature.about,
    )


def directory(name: str, data_dir: Path) -> Path | None:
    """Where TFDS has prepared a data set (`name` or `name/config`), newest version.

    None if it has not; raises `BadInput` if it has several configs of it.
    """
    home = data_dir / name
    found = [path for path in home.glob("*/dataset_info.json") if _version(path.parent)]
    if found:
        return max((path.parent for path in found), key=_version)
    configs = sorted({path.parents[1] for path in home.glob("*/*/dataset_info.json")})
    if len(configs) > 1:
        known = ", ".join(f"{name}/{config.name}" for config in configs)
        raise BadInput(f"{name} has several configs; it must be one of {known}")
    return directory(f"{name}/{configs[0].name}", data_dir) if configs else None


def _version(path: Path) -> tuple[int, ...]:
    """The numbers of a directory 1.0.0, () for any other."""
    parts = path.name.split(".")
    return tuple(map(int, parts)) if all(p.isdecimal() for p in parts) else ()


def read(prepared: Path, *, mixed: bool = False) -> Archive:
    """A data set that TFDS has prepared; raises `BadInput` if it cannot be read.

    `mixed` gives the examples of a set with classes that TFDS was told not to shuffle
    in a fixed random order: sorted by class, a tenth of them would be of one class.
    """
    tfds = _tfds()
    for path in sorted(prepared.iterdir()):
        files.check(path, SHARD)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            built = tfds.builder_from_directory(prepared)
        written = built.info.file_format.value
        if written != FORMAT:
            raise BadInput(
                f"it is written as {written}; prepare it again with "
                f"download_and_prepare(file_format={FORMAT!r})"
            )
        features = dict(_described(tfds, built.info.features, ""))
        classes = any(feature.kind == "label" for feature in features.values())
        mixed = mixed and classes and built.info.disable_shuffling
        sources = {
            name: Records(prepared, built.as_data_source(name), mixed)
            for name in built.info.splits
        }
    except BadInput as error:
        raise BadInput(f"{prepared} cannot be packed: {error}") from None
    except ImportError as error:
        raise BadInput(
            f"{prepared} has features that TFDS reads only with {error.name}; audio, "
            "video and lazily decoded features are not packed without it"
        ) from None
    except Exception as error:  # many kinds, by what is damaged
        raise _unreadable(prepared, error) from None
    return Archive(str(built.info.version), features, sources)


def _unreadable(prepared: Path, error: Exception) -> BadInput:
    reason = " ".join(str(error).split()) or type(error).__name__
    return BadInput(f"{prepared} cannot be read ({reason[:200]}); prepare it again")


class Records:
    """Examples of TFDS without nesting: `answers/text` becomes `answers.text`."""

    def __init__(self, prepared: Path, source: Any, mixed: bool = False):
        self.prepared, self.source, self.mixed = prepared, source, mixed

    def __len__(self) -> int:
        return len(self.source)

    @property
    def order(self) -> Sequence[int]:
        """The number in the archive of each example, in the order they are given."""
        if not self.mixed:
            return range(len(self.source))
        return np.random.default_rng(0).permutation(len(self.source)).tolist()

    def __iter__(self) -> Iterator[Example]:
        for place in self.order:
            try:
                example = self.source[place]
            except Exception as error:  # RuntimeError where a file is damaged, others
                raise _unreadable(self.prepared, error) from None
            yield dict(_leaves(example, ""))


def _leaves(example: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in example.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _described(tfds: Any, feature: Any, name: str) -> Iterator[tuple[str, Feature]]:
    """The features of TFDS as `Feature`s, by their flattened names."""
    kinds = tfds.features
    if isinstance(feature, kinds.FeaturesDict):
        for key, inner in feature.items():
            yield from _described(tfds, inner, f"{name}.{key}" if name else key)
        return
    about = str(feature.doc.desc or "")
    if isinstance(feature, kinds.Sequence):
        for key, inner in _described(tfds, feature.feature, name):
            yield key, _several(inner, about or inner.about, name)
    elif isinstance(feature, kinds.ClassLabel):
        yield name, label(feature.names if feature.num_classes else (), about)
    elif isinstance(feature, kinds.Image) and not find_spec("PIL"):
        raise BadInput(
            f"the feature {name} holds images, which pillow reads; install the extra: "
            "pip install .[media]"
        )
    elif isinstance(feature, kinds.Tensor | kinds.Image):
        shape, dtype = tuple(feature.shape), np.dtype(feature.np_dtype)
        if dtype.kind in "OSU" and shape in ((), (None,)):
            yield name, texts(about) if shape else text(about)
        elif dtype.kind not in "OSU" and None not in shape[1:]:
            yield name, array(dtype.name, shape, about)
        else:
            raise BadInput(f"the feature {name} has the shape {shape}")
    else:
        raise BadInput(f"the feature {name} is a {type(feature).__name__}")


def _several(inner: Feature, about: str, name: str) -> Feature:
    """A feature that holds any number of `inner`."""
    if inner.kind == "text":
        return texts(about)
    if inner.varies:
        raise BadInput(f"the feature {name} is a list of lists")
    return array(inner.dtype, (None, *inner.shape), about)


def _tfds() -> Any:
    """The package, silent; raises `BadInput` if it or array_record is missing."""
    try:
        import array_record  # noqa: F401
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise BadInput(
            f"Data sets are prepared with tensorflow_datasets and array_record; "
            f"{error.name} cannot be imported here: prepare them on another machine "
            "and copy the folder packed"
        ) from None
    tfds.disable_progress_bar()
    logging.set_verbosity(logging.ERROR)  # it would recommend OpenCV
    return tfds
