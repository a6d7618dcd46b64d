"""What an earlier version wrote is read: checkpoints, studies, cell ids, flags.

`compatibility/` was written by commit 566ef8c: a run of every mixer with a causal form,
one of an encoder, a study of two cells of which one is done, what the runs' models
answer, the ids of the cells of every experiment, the flags of every command.
"""

import hashlib
import importlib
import json
import re
import shutil
import tarfile
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import attn_research as ar
from attn_research.host import layout
from attn_research.host.exits import DONE
from attn_research.studies import selection, store
from attn_research.studies.study import cells
from tests.command import ROOT, command

HERE = Path(__file__).parent / "compatibility"
TOKENS = {"causal": (16, 16), "both": (24, 12)}  # length, vocabulary


def read(name: str) -> dict:
    return json.loads((HERE / f"{name}.json").read_text())


@pytest.fixture(scope="module")
def old(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(HERE / "runs.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.mark.parametrize("name", TOKENS)
def test_a_checkpoint_is_loaded_and_answers_as_it_did(old, name):
    length, vocabulary = TOKENS[name]
    restored = ar.load(old / name, member="best")
    tokens_BT = jnp.arange(length)[None] % vocabulary
    answers = restored.model.apply(restored.params, tokens_BT)
    wanted = np.asarray(read("outputs")[name])
    np.testing.assert_allclose(answers, wanted, rtol=0, atol=2e-5)
    assert np.std(wanted) > 0.1


def test_a_run_is_known_by_its_flags(old):
    ended = command(
        "train", f"--flagfile={old / 'both' / 'flags.txt'}", f"--out={old / 'both'}"
    )
    assert ended.code == DONE, ended.err
    assert "is done already; nothing was run" in ended.out


def test_a_study_is_shown_gone_on_with_and_reported(old, tmp_path):
    folder = tmp_path / "study"
    shutil.copytree(old / "study", folder)
    (done,) = (folder / "cells").iterdir()
    before = (done / layout.RESULT).read_bytes()
    ended = command("sweep", f"--out={folder}", "--status")
    assert ended.code == DONE and "1 done" in ended.out, ended.err
    (asked,) = store.read_study(folder)["commands"]
    flags = re.findall(r"(?:'[^']*'|\S)+", asked)[2:]
    flags = [flag.replace("'", "") for flag in flags]
    flags = [flag for flag in flags if not flag.startswith(("--only", "--out"))]
    ended = command("sweep", *flags, f"--out={folder}")
    assert ended.code == DONE, ended.err
    assert (done / layout.RESULT).read_bytes() == before
    states = store.status(folder)
    assert [state.state for state in states] == ["done", "done"]
    ended = command("report", str(folder))
    assert ended.code == DONE, ended.err
    assert (folder / "report" / "index.html").exists()


def test_cells_have_the_ids_that_they_had():
    for name, wanted in read("cells").items():
        path, size = name.split()
        module = importlib.import_module(f"experiments.{path.replace('/', '.')}")
        ids = " ".join(cell.id for cell in cells(module.STUDIES[size]))
        assert hashlib.blake2b(ids.encode(), digest_size=8).hexdigest() == wanted, name
    assert len(read("cells")) > 80


@pytest.mark.parametrize("name", read("flags"))
def test_every_flag_is_still_there(name):
    script = "prepare_data" if name == "prepare" else name
    listed = re.findall(r"^  --([\w.]+)", command(script, "--help").out, re.M)
    assert set(read("flags")[name]) - set(listed) == set()


def test_every_experiment_is_still_there():
    known = set(selection.experiments(ROOT / "experiments"))
    assert {name.split()[0] for name in read("cells")} <= known
