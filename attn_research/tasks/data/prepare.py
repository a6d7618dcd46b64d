"""Preparing a data set: raw files, verified -> TFDS archive -> packed arrays."""

import shutil
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from attn_research.host.disk import refusal
from attn_research.host.durable import Damaged, atomic_write
from attn_research.host.lock import Lock
from attn_research.options import BadInput, nearest
from attn_research.tasks.contract import Split
from attn_research.tasks.data import builder, packed, packing, raw
from attn_research.tasks.data.catalogue import DATA_SETS
from attn_research.tasks.data.display import Bar
from attn_research.tasks.data.schema import Collected, DataSet, Example, collect


def names(given: Iterable[str], where: Path) -> list[str]:
    """The named data sets; `all` is every set of the catalogue.

    A name outside the catalogue must be a set that TFDS has prepared in `where`.
    """
    listed = list(dict.fromkeys(given))
    for name in listed:
        if name in DATA_SETS or name == "all" or _archived(name, where):
            continue
        raise BadInput(
            f"{name} is neither in --list nor prepared by TFDS in {where}"
            f"{nearest(name, DATA_SETS)}"
        )
    return list(DATA_SETS) if "all" in listed else listed


def _archived(name: str, where: Path) -> Path | None:
    packed.location(name, where)  # refuses unsafe names
    return builder.directory(name, where)


def prepare(name: str, raw_dir: Path | None, where: Path, bar: Bar) -> bool:
    """Packs a data set in `where`; returns whether it was packed now.

    It may be packed already, which counts only if every byte matches its manifest and
    it was made from the files that the catalogue names; else it is made anew. Or it is
    refused: what TFDS has prepared may hold what no task can read, such as a number
    that is not finite; then whoever loads the set is told. Raises `BadInput` if raw
    files are missing or differ.
    """
    if verified(name, where):
        return False
    with Lock(where / packed.FOLDER / name):
        if verified(name, where):  # another process was quicker
            return False
        if name in DATA_SETS:
            _from_raw(DATA_SETS[name], raw_dir, where, bar)
        elif not _from_archive(name, where, bar):
            return False
        if not verified(name, where):
            raise Damaged(f"{name} in {where} is not what was written; check the disk")
        return True


def verified(name: str, where: Path) -> bool:
    """Whether a data set is packed, undamaged, and as the catalogue describes it."""
    if packed.location(name, where) is None:
        return False
    try:
        packed.load(name, where, verify=True)
        manifest = packed.manifest(name, where)
    except Damaged as error:
        if refusal(error):  # the disk does not read what may be whole
            raise
        return False
    data = DATA_SETS.get(name)
    if data is None:
        return True
    counts = {split: part["examples"] for split, part in manifest["splits"].items()}
    return counts == data.examples and manifest["source"] == _source(data)


def _source(data: DataSet) -> dict[str, str]:
    return {file.name: file.sha256 for file in data.files}


def _from_raw(data: DataSet, raw_dir: Path | None, where: Path, bar: Bar) -> None:
    if raw_dir is None:
        raise BadInput(
            f"--raw_dir is missing; it must be the directory that holds {data.folder}, "
            f"with the files of {data.source}"
        )
    folder = raw.verified(data, raw_dir)
    total = sum(data.examples.values())
    made = collect(data, bar.track(data.generate(folder), "read", total))
    facts = {"source": _source(data), "replaced": made.replaced}
    write(data, made, where, facts, bar)


def write(
    data: DataSet, made: Collected, where: Path, facts: dict[str, Any], bar: Bar
) -> None:
    """Archives and packs examples, and compares what is packed with them.

    `facts` go into the manifest. The caller holds the lock of the data set. Raises
    `Damaged` if an example differs.
    """
    splits = {
        split: bar.track(examples, f"archived as {split}", len(examples))
        for split, examples in made.splits.items()
    }
    archived = builder.write(data, splits, where)
    done = _pack(
        data.name,
        builder.read(archived)._replace(features=dict(data.features)),
        where,
        facts,
        bar,
    )
    try:
        _compare(data.name, made.splits, where)
    except Damaged:
        shutil.rmtree(done)  # its digests are right, its content is not
        raise


def _compare(name: str, splits: Mapping[Split, list[Example]], where: Path) -> None:
    """Raises `Damaged` if a packed example is not the one that was read."""
    loaded = packed.load(name, where)
    for split, examples in splits.items():
        for feature, column in loaded[split].items():
            same = len(column) == len(examples) and all(
                _same(found, example[feature])
                for found, example in zip(column, examples, strict=True)
            )
            if not same:
                raise Damaged(
                    f"The {feature} of {name} ({split}) in {where} is not what was "
                    "read; report it with the versions of numpy and tensorflow_datasets"
                )


def _same(found: Any, wanted: Any) -> bool:
    if isinstance(found, list):
        return [bytes(item) for item in found] == wanted
    if isinstance(wanted, bytes):
        return bytes(found) == wanted
    return np.array_equal(found, wanted)


def _from_archive(name: str, where: Path, bar: Bar) -> bool:
    """Packs what TFDS has prepared, or writes down why its content is refused."""
    found = builder.directory(name, where)
    assert found is not None
    refused = where / packed.FOLDER / name / packed.REFUSED
    facts = {"source": {}, "replaced": {}}
    try:
        _pack(name, builder.read(found, mixed=True), where, facts, bar)
    except packing.Unfit as error:
        atomic_write(refused, f"{error}\n")
        return False
    refused.unlink(missing_ok=True)
    return True


def _pack(
    name: str, archive: builder.Archive, where: Path, facts: dict[str, Any], bar: Bar
) -> Path:
    splits = {
        split: bar.track(source, f"packed as {split}", len(source))
        for split, source in archive.splits.items()
    }
    made_with = {"numpy": version("numpy"), "tfds": version("tensorflow-datasets")}
    facts = {**facts, "made_with": made_with}
    orders = {split: source.order for split, source in archive.splits.items()}
    return packing.write(
        name, archive.version, archive.features, splits, where, facts, orders
    )
