"""Subwords: nothing of a text is lost, nothing of what is held out is learned."""

import math
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_research import tasks
from attn_research.config import Config, Model, Train
from attn_research.decoding import judging
from attn_research.options import BadInput
from attn_research.tasks import SPLITS
from attn_research.tasks.data import packed, subwords
from attn_research.tasks.data.packed import VARIABLE
from attn_research.tasks.parts import sets
from attn_research.training import metrics, population, program
from tests import parameters
from tests.tasks import oracles

there = pytest.mark.skipif(
    find_spec("sentencepiece") is None, reason="the extra text is missing"
)
VERSES = b"the cat sat on the mat\n\nthe dog sat on the log\r\n\tnah, <unk>\n" * 20


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A directory of data sets of its own."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "data"))
    return tmp_path / "data"


def back(pieces, tokens) -> bytes:
    return b"".join(pieces[token] for token in np.asarray(tokens).ravel().tolist())


@there
def test_every_byte_comes_back(home):
    found = subwords.learned([VERSES, b"a\0b" * 9], 290, home)
    assert len(found.pieces) == 290 == len(set(found.pieces))
    assert found.pieces[:256] == [bytes([byte]) for byte in range(256)]
    noise = np.random.default_rng(0).integers(0, 256, 5000).astype(np.uint8).tobytes()
    hostile = "\0 \0\0▁ <unk> ∅ ␊ ƀ  \t\n \r\n".encode() + b"\xff\xfe"
    for text in (VERSES, noise, hostile, b"", b"\0", b"x" * 9999):
        tokens = found.encoded(np.frombuffer(text, np.uint8))
        assert back(found.pieces, tokens) == text
        assert np.sum(tokens == 0) == text.count(0), "the zero byte is a token alone"
    assert len(found.encoded(VERSES)) < len(VERSES) / 2
    # Learned first: what comes most often.
    assert found.pieces[256] in (b"at", b"th", b" t", b"he")
    assert not any(b"\0" in piece for piece in found.pieces[1:])


@there
def test_what_was_learned_is_the_same_in_another_process_and_kept(home, monkeypatch):
    found = subwords.learned([VERSES], 270, home)
    (kept,) = (home / subwords.FOLDER).iterdir()
    script = (
        "import sys; from pathlib import Path;\n"
        "from attn_research.tasks.data import subwords\n"
        f"subwords.learned([{VERSES!r}], 270, Path({str(home / 'other')!r}))"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
    (other,) = (home / "other" / subwords.FOLDER).iterdir()
    assert other.name == kept.name and other.read_bytes() == kept.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(subwords, "_learn", None)
        assert subwords.learned([VERSES], 270, home).pieces == found.pieces
    # Damaged, or of another text or size: learned anew.
    kept.write_bytes(kept.read_bytes()[:-1] + b"?")
    assert subwords.learned([VERSES], 270, home).pieces == found.pieces
    assert kept.read_bytes() == other.read_bytes()
    subwords.learned([VERSES], 271, home)
    subwords.learned([VERSES, b" "], 270, home)
    assert len(list((home / subwords.FOLDER).iterdir())) == 3


@there
def test_a_text_in_subwords_is_its_bytes(home, tmp_path):
    """And what is held out teaches nothing."""
    (tmp_path / "f").write_bytes(VERSES * 20 + b"zyx " * 600)
    task = tasks.make(f"text(path={tmp_path / 'f'},length=9,subwords=280)")
    assert task.spec.features == task.spec.outputs == 280 and task.spec.subwords
    arrays = jax.tree.map(jnp.asarray, task.arrays())
    pieces = sets.spelled(arrays)
    assert not any(b"zy" in piece or b"yx" in piece for piece in pieces)
    whole = (tmp_path / "f").read_bytes()
    low, high = len(whole) * 18 // 20, len(whole) * 19 // 20
    parts = dict(zip(SPLITS, (whole[:low], whole[low:high], whole[high:]), strict=True))
    tokens_L, edges = arrays["text"]
    for number, split in enumerate(SPLITS):
        assert back(pieces, tokens_L[edges[number] : edges[number + 1]]) == parts[split]
    draw = jax.jit(lambda arrays: task.batch(jax.random.key(0), "train", 16, arrays))
    batch = jax.tree.map(np.asarray, draw(arrays))
    for row in range(16):
        text = back(pieces, [*batch.inputs[row], batch.targets[row, -1]])
        assert text in parts["train"]
        size = [len(pieces[token]) for token in batch.targets[row]]
        np.testing.assert_array_equal(batch.bytes[row], size)
        wanted = oracles.repeats(batch.inputs[row], 2)
        np.testing.assert_array_equal(batch.gap[row], wanted)
    assert batch.bytes.max() > 1


@cache
def read(spec, split):
    """The task, its subwords, and every example of a split."""
    task = tasks.make(spec)
    arrays = task.arrays()
    count = int(task.count(split, arrays))
    batch = jax.jit(lambda arrays: task.examples(jnp.arange(count), split, arrays))(
        arrays
    )
    return task, sets.spelled(arrays), jax.tree.map(np.asarray, batch)


def assert_written(pieces, batch, row, text):
    counted = batch.weights[row] > 0
    assert back(pieces, batch.targets[row][counted]) == bytes(text) + b"\0"
    assert batch.bytes[row][counted].sum() == len(text) + 1


@there
def test_both_languages_share_their_subwords(data_sets):
    spec = "translation(source_length=90,length=90,subwords=280)"
    task, pieces, batch = read(spec, "test")
    columns = packed.load("tico19")
    for row, (en, fr) in enumerate(
        zip(*(columns["test"][x] for x in ("en", "fr")), strict=True)
    ):
        told = batch.source[row][batch.source_segments[row] > 0]
        assert back(pieces, told) == bytes(en)
        assert_written(pieces, batch, row, fr)
    training = [
        bytes(t)
        for pair in zip(*(columns["train"][x] for x in ("en", "fr")), strict=True)
        for t in pair
    ]
    assert pieces == subwords.learned(training, 280, data_sets).pieces
    assert task.spec.source_features == 280


@there
def test_a_meeting_in_subwords(data_sets):
    spec = "summarisation(source_length=500,length=99,subwords=280)"
    _, pieces, batch = read(spec, "test")
    columns = packed.load("qmsum")["test"]
    query, meeting = columns["queries"][0][1], columns["transcript"][0]
    told = batch.source[1][batch.source_segments[1] > 0]
    assert back(pieces, told) == bytes(query) + b"\0" + bytes(meeting)
    assert_written(pieces, batch, 1, columns["summaries"][0][1])


@there
def test_bits_are_counted_by_the_byte_and_samples_are_text(data_sets):
    """Those of a whole split: all nats of all tokens over all bytes."""
    spec = "translation(source_length=90,length=90,subwords=280)"
    few = Train(batch=4, decode=3)
    config = program.resolve(Config(spec, Model("conv", layers=1, width=8), few))
    made = program.make(config, population.mesh())
    arrays = jax.tree.map(jnp.asarray, made.task.arrays())
    params_P = parameters.drawn(made.model, members=(2,))
    members = program.Member(params_P, (), (), (), (), ())
    sums_P = jax.jit(made.evaluate)(members, (arrays, jnp.bool_(True)))
    sums = jax.tree.map(lambda leaf: leaf[0], sums_P)
    found = metrics.values(sums, ("loss", "bits_per_byte"), "token")
    texts = packed.load("tico19")["test"]["fr"]
    size = sum(len(text) + 1 for text in texts)
    _, pieces, batch = read(spec, "test")
    count = batch.weights.sum()
    assert sums.total_R[0] == count < size
    wanted = found["loss"] * count / math.log(2) / size
    assert found["bits_per_byte"] == pytest.approx(wanted, rel=1e-5)
    params = jax.tree.map(lambda leaf: leaf[0], params_P)
    told = judging.decoded(made, params, arrays)["decoded"]
    whole = {bytes(text).decode() for text in texts}
    assert {sample["reference"] for sample in told["samples"]} <= whole
    assert "bleu" in told["metrics"] or told["notes"]


def test_a_sample_is_the_text_of_its_pieces():
    spec = tasks.make("translation(subwords=300)").spec
    pieces = [bytes([byte]) for byte in range(256)] + ["é, ".encode(), b"and"]
    rows = judging.Written(
        np.array([[256, 257, 33, 0, 97]]), np.array([[0xC3, 0xA9, 0, 0, 0]]),
        np.array([[97, 0, 257, 0, 0]]), np.ones(1, bool),
    )  # fmt: skip
    (sample,) = judging.judged(spec, [rows], 1, pieces)["samples"]
    assert sample == {"source": "a\nand", "reference": "é", "text": "é, and!"}


def test_without_the_package_it_is_one_sentence(home, monkeypatch):
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(BadInput, match="install the extra text") as caught:
        subwords.learned([VERSES], 300, home)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["text", "translation", "summarisation"])
def test_too_few_subwords_for_all_bytes(name):
    with pytest.raises(
        BadInput, match=rf"{name}.subwords is 256; it must be 0 \(bytes\)"
    ):
        tasks.make(f"{name}(subwords=256)")


@there
def test_too_many_subwords_for_a_text(home):
    with pytest.raises(BadInput) as caught:
        subwords.learned([VERSES], 5000, home)
    told = str(caught.value)
    assert (
        told.startswith("subwords is 5000; for training texts of") and "\n" not in told
    )
    room = int(told.rpartition(" at most ")[2])
    assert len(subwords.learned([VERSES], room, home).pieces) == room
    with pytest.raises(BadInput, match="of 0 bytes it must be at most 256") as caught:
        subwords.learned([b""], 300, home)
    assert "\n" not in str(caught.value)
