"""Damage to anything that a user provides: loaded with values in range, or a sentence.

Each reader has a small valid input, of which one file is damaged at random. The outcome
is a load whose numbers are in their range, or one sentence of `BadInput`: never another
error, never a hang.
"""

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from attn_research import tasks
from attn_research.options import BadInput
from attn_research.tasks.data import builder, manifests, packed, packing, prepare
from attn_research.tasks.data.display import Bar
from attn_research.tasks.data.packed import MANIFEST
from attn_research.tasks.data.schema import array, label, text, texts
from tests.faults.damages import DAMAGES, copied, files
from tests.tasks.data.waves_test import store

SECONDS = 20
QUICK, MANY = 2, 30  # damages of each kind to each reader


@contextmanager
def limited(seconds: int) -> Iterator[None]:
    """Fails what takes longer."""

    def late(*_: object) -> None:
        raise AssertionError(f"no end within {seconds} seconds")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


class Reader(NamedTuple):
    """How a valid input is written, and how it is read and checked."""

    write: Callable[[Path, np.random.Generator], None]
    load: Callable[[Path, Path], None]


def _arrays(spec: str) -> dict[str, Any]:
    task = tasks.make(spec)
    arrays = task.arrays()
    assert task.spec.length > 0
    if tasks.noted(task):
        assert all("\n" not in note for note in task.notes(arrays))
    return arrays


def _write_text(root: Path, rng: np.random.Generator) -> None:
    (root / "one.txt").write_text("The quick brown fox, naïve and 42.\n" * 60)


def _write_texts(root: Path, rng: np.random.Generator) -> None:
    for number in range(9):
        words = f"def f{number}(x):\n    return x + {number}\n" * 40
        (root / f"{number}.py").write_text(words)


def _load_text(root: Path, victim: Path) -> None:
    arrays = _arrays(f"text(path={root / 'one.txt'},length=16)")
    assert arrays["text"].values_L.dtype == np.uint8
    assert np.all(np.diff(arrays["text"].offsets_N) > 16)


def _load_texts(root: Path, victim: Path) -> None:
    for spec in ("text(path={},length=16)", "code(path={},length=64)",
                 "masked_text(path={},length=16)"):  # fmt: skip
        arrays = _arrays(spec.format(root))
        assert np.all(np.diff(arrays["text"].offsets_N) > 16)


def _write_waves(root: Path, rng: np.random.Generator) -> None:
    for number in range(12):
        store(root / "ab"[number % 2] / f"{number}.wav", rng.integers(-99, 99, 400))


def _write_table(root: Path, rng: np.random.Generator) -> None:
    _write_waves(root, rng)
    rows = [f"{'ab'[n % 2]}/{n}.wav,{'yes no'.split()[n % 2]}," for n in range(12)]
    (root / "labels.csv").write_text("\n".join(["file,label,split", *rows]) + "\n")


def _load_waves(root: Path, victim: Path) -> None:
    for spec in (
        "audio_classification(path={},samples=800)",
        "spoken_strings(path={},samples=1600)",
    ):
        arrays = _arrays(spec.format(root))
        assert arrays["audio"].values_L.dtype == np.int16
        assert arrays["label"].min() >= 0 and np.all(np.diff(arrays["edges"]) > 0)


NAMES = ("a", "b", "c")
SETS = {
    "words": {"text": text("t"), "label": label(NAMES, "l"), "more": texts("m")},
    "pictures": {"image": array("uint8", (4, 4), "i"), "label": label(NAMES, "l")},
    "heard": {"audio": array("int16", (None,), "a"), "label": label(NAMES, "l")},
    "series": {"values": array("float32", (None, 2), "v")},
    "asked": {
        "question": text("q"), "context": text("c"), "answer": text("a"),
        "start": array("int32", (), "s"),
    },
    "meant": {
        "text": text("t"), "label": label(NAMES, "l"),
        "pronoun": array("int32", (2,), "p"),
        "a": array("int32", (2,), "a"), "b": array("int32", (2,), "b"),
    },
    "met": {
        "transcript": text("t"), "turns": array("int32", (None,), "t"),
        "queries": texts("q"), "summaries": texts("s"),
        "spans": array("int32", (None, 3), "s"),
    },
    "said": {"en": text("e"), "fr": text("f"), "document": text("d")},
}  # fmt: skip
SPECS = {
    "words": ("classification({},length=16)", "text({},length=16)"),
    "pictures": ("image_classification({})", "image_generation({})", "captioning({})"),
    "heard": ("audio_classification({},samples=400)", "spoken_strings({},samples=900)"),
    "series": ("forecasting({},context=6,horizon=2)",),
    "asked": ("question_answering({},length=64)",),
    "meant": ("pronouns({},length=64)", "classification({},length=64)"),
    "met": ("summarisation({},passages=true)",),
    "said": ("translation({})", "translation({},unit=document)"),
}


def _example(name: str, n: int, rng: np.random.Generator) -> dict[str, Any]:
    known = {
        "text": b"Ann saw Bob. She waved %d." % n, "label": n % 3, "more": [b"x"] * n,
        "image": rng.integers(0, 255, (4, 4)), "audio": rng.integers(-9, 9, 200 + n),
        "values": rng.normal(size=(40, 2)), "question": b"who?", "answer": b"Ann",
        "context": b"It was Ann.", "start": 7, "pronoun": [13, 16], "a": [0, 3],
        "b": [8, 11], "transcript": b"A: a\nB: b\n", "turns": [0, 5],
        "queries": [b"what?"], "summaries": [b"that"], "spans": np.array([[0, 0, 1]]),
        "en": b"one", "fr": b"un", "document": b"d%d" % (n // 2),
    }  # fmt: skip
    return {feature: known[feature] for feature in SETS[name]}


def _write_sets(root: Path, rng: np.random.Generator) -> None:
    for name, features in SETS.items():
        count = 1 if name == "series" else 12
        splits = {
            split: [_example(name, n, rng) for n in range(count)]
            for split in tasks.SPLITS
        }
        packing.write(name, "1.0.0", features, splits, root, {"replaced": {}})


def _load_sets(root: Path, victim: Path) -> None:
    for name, specs in SPECS.items():
        if name not in victim.parts and victim != root:
            continue
        for spec in specs:
            arrays = _arrays(spec.format(f"data={name},data_dir={root}"))
            for part in arrays.values():
                values = np.asarray(part[0] if isinstance(part, tuple) else part)
                assert values.dtype.kind != "f" or np.all(np.isfinite(values))
            if "label" in arrays:
                assert 0 <= arrays["label"].min() <= arrays["label"].max() < 3
            if "span" in arrays:
                assert 0 <= arrays["span"].min() <= arrays["span"].max() < 64


READERS = {
    "a text": Reader(_write_text, _load_text),
    "a folder of texts": Reader(_write_texts, _load_texts),
    "a folder of waves": Reader(_write_waves, _load_waves),
    "a table of waves": Reader(_write_table, _load_waves),
    "packed sets": Reader(_write_sets, _load_sets),
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> dict[str, Path]:
    """A valid input for each reader."""
    made = {}
    for name, reader in READERS.items():
        made[name] = tmp_path_factory.mktemp("valid") / "input"
        made[name].mkdir()
        reader.write(made[name], np.random.default_rng(0))
        reader.load(made[name], made[name])
    return made


def outcome(load: Callable[[], object], told: str) -> str:
    """`loaded` or `refused`; anything else fails with what was done."""
    try:
        with limited(SECONDS):
            load()
    except BadInput as error:
        sentence = str(error)
        assert sentence and "\n" not in sentence and len(sentence) < 2000, told
        return "refused"
    except Exception as error:
        raise AssertionError(f"{told}: {type(error).__name__}: {error}") from error
    return "loaded"


def resealed(root: Path) -> None:
    """The manifests of packed sets say what their files hold now."""
    for path in root.rglob(MANIFEST):
        content = json.loads(path.read_bytes())
        content.pop("seal", None)
        for split, part in content["splits"].items():
            for name, facts in part["arrays"].items():
                file = path.parent / split / name
                if file.is_file() and file.stat().st_size < 10**6:
                    facts["bytes"] = file.stat().st_size
        path.write_text(json.dumps(manifests.sealed(content)))


def tried(name: str, source: Path, target: Path, count: int) -> dict[str, int]:
    """The outcomes of `count` damages of each kind."""
    found = {"loaded": 0, "refused": 0}
    for number, damage in enumerate(DAMAGES):
        for seed in range(count):
            rng = np.random.default_rng([seed, number, *name.encode()])
            root = copied(source, target)
            every = files(root)
            tables = [p for p in every if p.suffix in (".csv", ".json")]
            victim = every[rng.integers(len(every))]
            if tables and rng.random() < 0.4:
                victim = tables[rng.integers(len(tables))]
            damage(victim, rng)
            if victim.suffix == ".npy" and seed % 2:
                resealed(root)
            told = f"{name}, {victim.relative_to(root)}, {damage.__name__}, {seed}"
            load = partial(READERS[name].load, root, victim)
            found[outcome(load, told)] += 1
    return found


@pytest.mark.parametrize("name", READERS)
def test_damage_is_loaded_in_range_or_one_sentence(name, inputs, tmp_path):
    found = tried(name, inputs[name], tmp_path / "copy", QUICK)
    assert all(found.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_much_damage_is_loaded_in_range_or_one_sentence(name, inputs, tmp_path):
    tried(name, inputs[name], tmp_path / "copy", MANY)


# --- leaves of a manifest ------------------------------------------------------------

STRANGE = (
    None, True, -1, 0, 1.5, 10**30, "", "../../x", "/etc/passwd", "O", [], [1], {},
    {"a": 1}, [None, None], "\ud800", "x" * 5000, [10**12], ["a", 2],
)  # fmt: skip


def leaves(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """The path of every value inside a JSON value."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items if isinstance(value, (dict, list)) else ():
        if isinstance(inner, (dict, list)):
            yield from leaves(inner, (*path, key))
        else:
            yield (*path, key)


@pytest.mark.parametrize("count", [200, pytest.param(4000, marks=pytest.mark.slow)])
def test_a_manifest_that_contradicts_itself_is_refused(count, inputs, tmp_path):
    root = copied(inputs["packed sets"], tmp_path / "copy")
    rng = np.random.default_rng(1)
    path = root / "packed" / "words" / "1.0.0" / MANIFEST
    whole = json.loads(path.read_bytes())
    whole.pop("seal", None)
    places = [p for p in leaves(whole) if p[0] != "blake2b"]
    for number in range(count):
        content = json.loads(json.dumps(whole))
        place = places[rng.integers(len(places))]
        inner = content
        for key in place[:-1]:
            inner = inner[key]
        if rng.random() < 0.2:
            del inner[place[-1]]
        else:
            inner[place[-1]] = STRANGE[rng.integers(len(STRANGE))]
        path.write_text(json.dumps(manifests.sealed(content)))

        def load() -> None:
            _arrays(f"classification(data=words,data_dir={root},length=16)")
            packed.load("words", root, verify=True)

        outcome(load, f"{number}: {place} = {inner.get(place[-1], 'gone')!r:.40}"
                if isinstance(inner, dict) else f"{number}: {place}")  # fmt: skip


# --- sets of TFDS --------------------------------------------------------------------


@pytest.fixture(scope="module")
def archived(tmp_path_factory) -> Path:
    """A data set as TFDS prepares it."""
    tfds = pytest.importorskip("tensorflow_datasets")
    where = tmp_path_factory.mktemp("archived")
    kinds = tfds.features
    features = {
        "text": kinds.Text(),
        "label": kinds.ClassLabel(names=list(NAMES)),
        "image": kinds.Tensor(shape=(2, 2), dtype=np.uint8),
    }
    rows = [
        {"text": f"{n} words", "label": n % 3, "image": np.full((2, 2), n, np.uint8)}
        for n in range(30)
    ]
    members = {
        "name": "some", "VERSION": tfds.core.Version("1.0.0"),
        "_info": lambda self: tfds.core.DatasetInfo(
            builder=self, features=kinds.FeaturesDict(features)
        ),
        "_split_generators": lambda self, _: {"train": enumerate(rows)},
        "_generate_examples": None, "__module__": __name__,
    }  # fmt: skip
    with tfds.core.registered.skip_registration():
        made = type("some", (tfds.core.GeneratorBasedBuilder,), members)
        made(data_dir=where).download_and_prepare(
            file_format="array_record",
            download_config=tfds.download.DownloadConfig(try_download_gcs=False),
        )
    return where


@pytest.mark.parametrize("count", [1, pytest.param(12, marks=pytest.mark.slow)])
def test_a_damaged_archive_is_packed_or_one_sentence(count, archived, tmp_path):
    assert builder.directory("some", archived) is not None
    for number, damage in enumerate(DAMAGES):
        for seed in range(count):
            rng = np.random.default_rng([seed, number])
            root = copied(archived, tmp_path / "copy")
            every = files(root)
            victim = every[rng.integers(len(every))]
            damage(victim, rng)

            def load(root: Path = root) -> None:
                (name,) = prepare.names(["some"], root)
                with Bar(name) as bar:
                    prepare.prepare(name, None, root, bar)
                arrays = _arrays(f"classification(data=some,data_dir={root},length=9)")
                assert 0 <= arrays["label"].min() <= arrays["label"].max() < 3

            told = f"{victim.relative_to(root)}, {damage.__name__}, {seed}"
            outcome(load, told)
