"""A model as one file: the same bits, and no byte of it may change."""

import json
import sys

import jax
import numpy as np
import pytest

import attn_research as ar
from attn_research.checkpoint import portable
from attn_research.config import Model, Train
from attn_research.host.durable import Damaged
from attn_research.host.exits import DONE
from tests.command import assert_one_sentence, command

MISSING = "the extra export is not installed"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config = ar.Config(
        task="recall(length=16,pairs=2,vocabulary=16)",
        model=Model(pattern="lru,dense(heads=2)", width=8, scan=True, layers=4),
        train=Train(
            steps=4, batch=4, eval_every=2, eval_batches=1, test_batches=1, keep=0,
            checkpoint_every=2, decode=0,
        ),
    )  # fmt: skip
    population = ar.Population(seed=(3, 5), lr=(1e-3,))
    return ar.train(config, population, tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def file(run, tmp_path_factory):
    pytest.importorskip("safetensors", reason=MISSING)
    path = tmp_path_factory.mktemp("files") / "model.safetensors"
    portable.export(run.directory, path, member=1)
    return path


def test_a_file_gives_the_same_model_with_the_same_bits(run, file):
    one, other = run.load(member=1), ar.load(file)
    assert (other.config, other.hypers, other.step) == (one.config, one.hypers, 4)
    assert other.hypers["seed"] == 5
    jax.tree.map(np.testing.assert_array_equal, one.params, other.params)
    tokens_BT = np.arange(32).reshape(2, 16) % 16
    logits = [each.model.apply(each.params, tokens_BT) for each in (one, other)]
    np.testing.assert_array_equal(*logits)


def test_a_file_of_something_else_stays_unless_it_may_be_replaced(run, tmp_path):
    pytest.importorskip("safetensors", reason=MISSING)
    path = tmp_path / "model.safetensors"
    export = "export", str(run.directory), f"--out={path}"
    for other in (b"", b"mine"):
        path.write_bytes(other)
        refused = command(*export)
        assert_one_sentence(refused, "must be another file, or --replace given")
        assert path.read_bytes() == other
    assert command(*export, "--member=0", "--replace").code == DONE
    first = path.read_bytes()
    assert command(*export, "--member=0").code == DONE  # the same once more
    assert_one_sentence(command(*export, "--member=1"), "holds something else")
    assert path.read_bytes() == first
    assert command(*export, "--member=1", "--replace").code == DONE
    assert ar.load(path).hypers["seed"] == 5


def test_others_read_its_tensors_and_what_it_is(run, file):
    numpy = pytest.importorskip("safetensors.numpy", reason=MISSING)
    params = jax.tree.leaves(run.load(member=1).params)
    assert len(numpy.load_file(file)) == len(params)
    with numpy.safe_open(file, framework="numpy") as opened:
        content = json.loads(opened.metadata()["content"])
    assert content["config"]["model"]["pattern"].startswith("lru")
    assert content["hypers"]["lr"] == 1e-3 and content["sizes"]["length"] == 16
    assert content["metrics"]["test"] == run.result["members"][1]["test"]


def test_an_older_step_has_the_metrics_of_its_time(run, tmp_path):
    numpy = pytest.importorskip("safetensors.numpy", reason=MISSING)
    path = tmp_path / "early.safetensors"
    assert portable.export(run.directory, path, member=0, step=2).step == 2
    with numpy.safe_open(path, framework="numpy") as opened:
        metrics = json.loads(opened.metadata()["content"])["metrics"]
    (row,) = [
        row
        for row in run.curves
        if (row["member"], row["step"], row["metric"]) == (0, 2, "accuracy")
    ]
    assert metrics["validation"]["accuracy"] == row["value"]


def test_a_changed_byte_anywhere_is_found(file, tmp_path):
    data = file.read_bytes()
    places = [*range(0, 8), *range(8, len(data), len(data) // 150), len(data) - 1]
    for place in places:
        changed = bytearray(data)
        changed[place] ^= 1
        path = tmp_path / "changed.safetensors"
        path.write_bytes(changed)
        with pytest.raises(ar.BadInput) as caught:
            ar.load(path)
        assert "\n" not in str(caught.value), place
    path.write_bytes(data[:-10])
    with pytest.raises(Damaged, match="is damaged"):
        ar.load(path)


def test_what_is_no_file_of_ours_is_said(file, tmp_path):
    numpy = pytest.importorskip("safetensors.numpy", reason=MISSING)
    foreign = tmp_path / "foreign.safetensors"
    numpy.save_file({"x": np.zeros(3)}, foreign)
    with pytest.raises(ar.BadInput, match="has no config of ours; it must be"):
        ar.load(foreign)
    with pytest.raises(ar.BadInput, match="is not there; it must be a file"):
        ar.load(tmp_path / "nowhere.safetensors")
    with pytest.raises(ar.BadInput, match="holds one model"):
        ar.load(file, member=1)


def test_the_command_writes_the_best_member(run, tmp_path):
    pytest.importorskip("safetensors", reason=MISSING)
    path = tmp_path / "best.safetensors"
    ended = command("export", str(run.directory), f"--out={path}")
    assert ended.code == DONE, ended.err
    best = run.load()
    assert f"of {run.directory} at step 4" in ended.out
    assert ar.load(path).hypers == best.hypers


MISTAKES = [
    ([], "--out is missing; it must be the file to write"),
    (["--out=model.bin"], "its name must end in .safetensors"),
    (["--out=a.safetensors", "--member=x"], "--member is 'x'; it must be a whole"),
    (["--out=a.safetensors", "--member=9"], "member is 9; it must be 'best' or 0 to 1"),
    (["--out=a.safetensors", "--mixer=dense"], "is not a study: mixer and where"),
]


@pytest.mark.parametrize(("flags", "words"), MISTAKES)
def test_a_mistake_is_one_sentence(flags, words, run, tmp_path, monkeypatch):
    if len(flags) and "safetensors" in flags[0]:
        pytest.importorskip("safetensors", reason=MISSING)
    monkeypatch.chdir(tmp_path)
    assert_one_sentence(command("export", str(run.directory), *flags), words)
    assert not list(tmp_path.iterdir())


def test_without_the_package_one_sentence_names_the_extra(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    path = tmp_path / "a.safetensors"
    ended = command("export", str(run.directory), f"--out={path}")
    assert_one_sentence(ended, "pip install 'attn_research[export]'")
