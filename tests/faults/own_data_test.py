"""Damage to a user's tables and folders: examples in range, or one sentence."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from attn_research.tasks.contract import SPLITS
from tests.faults.damages import DAMAGES, copied, files
from tests.faults.readers_test import outcome
from tests.own_data import folders_test as folders
from tests.own_data import kinds_test as kinds
from tests.own_data.pairs_test import pairs
from tests.own_data.reading import reviews, seen, table
from tests.own_data.saved_test import together
from tests.own_data.series_test import rows, written

QUICK, MANY = 2, 40  # damages of each kind to each source


def _parquet(root: Path) -> None:
    found = [{"text": text, "label": label} for text, label in reviews()]
    pyarrow.parquet.write_table(
        pyarrow.Table.from_pylist(found), root / "a.parquet", compression="snappy"
    )


def _saved(root: Path) -> None:
    together(root, shards=2)


def _splits(root: Path) -> None:
    for n, split in enumerate(("train", "valid", "test")):
        table(root / f"{split}.csv", reviews(9, 9 * n), separator=";")


# Name -> how a valid source is written, and the kind that it is read as.
SOURCES: dict[str, tuple[Callable[[Path], object], str]] = {
    "separated": (lambda root: table(root / "a.csv", reviews()), "classification"),
    "splits": (_splits, "classification"),
    "a series": (lambda root: written(root / "a.csv", rows()), "forecasting"),
    "lines": (
        lambda root: kinds.lines(root / "a.jsonl", map(kinds.asked, range(40))),
        "question_answering",
    ),
    "parquet": (_parquet, "classification"),
    "saved": (_saved, "classification"),
    "pairs": (lambda root: pairs(root, "a", 0, 40), "translation"),
    "texts": (folders.texts, "classification"),
    "images": (folders.images, "image_classification"),
    "sounds": (folders.sounds, "audio_classification"),
}


def load(root: Path, kind: str, gaps: str) -> None:
    """Reads a source and checks every example of it."""
    more = {"gaps": gaps} if kind == "forecasting" else {"drop_missing": gaps == "fill"}
    found = seen(root, kind, **more)
    assert all("\n" not in line for line in found.told)
    features = found.found.data.features
    for split in SPLITS:
        assert found.found.splits[split]
        for row in found.found.splits[split]:
            assert row.keys() == features.keys()
            for name, value in row.items():
                if features[name].kind == "label":
                    assert 0 <= value < len(features[name].names)
                elif features[name].kind == "text":
                    assert value.strip() and b"\0" not in value
                elif features[name].kind == "array":
                    assert np.all(np.isfinite(value))
                    assert np.ndim(value) == len(features[name].shape)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> dict[str, Path]:
    """A valid source of each sort."""
    made = {}
    for name, (write, kind) in SOURCES.items():
        made[name] = tmp_path_factory.mktemp("valid") / "input"
        made[name].mkdir()
        write(made[name])
        load(made[name], kind, "refuse")
    return made


def tried(name: str, source: Path, target: Path, count: int) -> dict[str, int]:
    """The outcomes of `count` damages of each kind."""
    found = {"loaded": 0, "refused": 0}
    for number, damage in enumerate(DAMAGES):
        for seed in range(count):
            rng = np.random.default_rng([seed, number, *name.encode()])
            root = copied(source, target)
            every = files(root)
            victim = every[rng.integers(len(every))]
            damage(victim, rng)
            gaps = ("refuse", "fill", "longest")[seed % 3]
            told = f"{name}, {victim.relative_to(root)}, {damage.__name__}, {seed}"
            read = partial(load, root, SOURCES[name][1], gaps)
            found[outcome(read, told)] += 1
    return found


@pytest.mark.parametrize("name", SOURCES)
def test_damage_is_read_in_range_or_one_sentence(name, inputs, tmp_path):
    found = tried(name, inputs[name], tmp_path / "copy", QUICK)
    assert found["refused"]


@pytest.mark.slow
@pytest.mark.parametrize("name", SOURCES)
def test_much_damage_is_read_in_range_or_one_sentence(name, inputs, tmp_path):
    found = tried(name, inputs[name], tmp_path / "copy", MANY)
    assert all(found.values())
