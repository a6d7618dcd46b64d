"""The script of sweeps: from flags to results, and one sentence for every mistake."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from attn_research.config import Config, Population, Train
from attn_research.host import layout, memory
from attn_research.launch import together
from attn_research.studies import store
from attn_research.studies.study import Study, cells
from tests import planted
from tests.command import Ended, assert_one_sentence, command

SCRIPT = Path(__file__).parents[1] / "scripts" / "sweep.py"
STUDY = Study(
    "named",
    "A question?",
    "A claim.",
    Config(train=Train(steps=3)),
    {"model.pattern": ["dense", "conv"]},
    Population(seed=(0, 1)),
)


def sweep(*flags: str, **environment: str) -> subprocess.CompletedProcess:
    root = str(SCRIPT.parents[1])
    return subprocess.run(
        [sys.executable, str(SCRIPT), *flags],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": root, **environment},
    )


def test_help_is_quick_and_complete():
    took = []
    for _ in range(3):
        began = time.monotonic()
        sweep("--help")
        took.append(time.monotonic() - began)
    done = sweep("--help")
    assert done.returncode == 0
    for flag in ("experiment", "set", "only", "workers", "dry_run", "status"):
        assert f"--{flag}" in done.stdout
    # Half a second on a quiet machine; importing jax alone takes more than this.
    assert min(took) < 1.0


MISTAKES = [
    (["--experiment=nothing"], "Unknown experiment 'nothing'"),
    (["--experiment=../x"], "Unknown experiment"),
    ([], "--experiment is missing"),
    (["--only=5/4"], "it must be i/n"),
    (["--workers=0"], "--workers is 0; it must be at least 1"),
    (["--workers=two"], "it must be a whole number"),
    (["--grace=nan"], "it must be a finite number"),
    (["--experiments=x"], "did you mean '--experiment'"),
    (["stray"], "Unknown argument 'stray'"),
]


@pytest.mark.parametrize("flags, words", MISTAKES)
def test_a_mistake_is_one_sentence(flags, words, tmp_path):
    done = sweep(f"--out={tmp_path / 'out'}", *flags)
    assert done.returncode == 65
    assert words in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_directory_has_to_be_given():
    done = sweep("--status")
    assert done.returncode == 65 and "--out is missing" in done.stderr


def test_status_and_collect_of_a_study(tmp_path):
    opened = store.open_study(tmp_path / "s", STUDY, cells(STUDY))
    told = command("sweep", f"--out={opened.directory}", "--status")
    assert told.code == 0, told.err
    assert "2 cells: 2 waiting" in told.out and opened.ids[0] in told.out
    assert "model.pattern" in told.out
    told = command("sweep", f"--out={opened.directory}", "--collect")
    assert told.code == 0 and "0 members" in told.out
    told = command("sweep", f"--out={tmp_path}", "--status")
    assert_one_sentence(told, "is not a study directory")


EXPERIMENT = '''
"""A small question."""
from attn_research.config import Config, Model, Population, Train
from attn_research.studies.study import Study
BASE = Config(
    task="recall(length=16,pairs=2,vocabulary=16)",
    model=Model(width=8, layers=1),
    train=Train(steps=4, batch=4, eval_every=2, eval_batches=1, test_batches=1),
)
QUICK = Study("small", "Is it small?", "Yes.", BASE, {"model.pattern": ["conv"]},
              Population(seed=(0, 1)))
STUDIES = {"quick": QUICK}
'''


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """The script beside an experiment of its own."""
    root = tmp_path_factory.mktemp("root")
    for name in ("scripts", "experiments"):
        (root / name).mkdir()
    (root / "experiments" / "__init__.py").touch()
    (root / "experiments" / "small.py").write_text(EXPERIMENT)
    copy = root / "scripts" / "sweep.py"
    copy.write_text(SCRIPT.read_text())
    return copy


def run(script: Path, *flags: str) -> subprocess.CompletedProcess:
    package = str(SCRIPT.parents[1])
    return subprocess.run(
        [sys.executable, str(script), "--experiment=small", *flags],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "PYTHONPATH": package},
    )


@pytest.fixture
def here(script, monkeypatch):
    """The script in this process, whose experiments are meanwhile those beside it."""

    def forget():
        names = [name for name in sys.modules if name.split(".")[0] == "experiments"]
        return {name: sys.modules.pop(name) for name in names}

    kept = forget()
    monkeypatch.setattr(sys, "path", list(sys.path))

    def run(*flags: str) -> Ended:
        return command("sweep", "--experiment=small", *flags, root=script.parents[1])

    yield run
    forget()
    sys.modules.update(kept)


def test_a_dry_run_shows_cells_and_costs_and_runs_none(here, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = here("--dry_run", "--set", "model.width=8,16", "--seed=0,1,2")
    assert told.code == 0, told.err
    assert "2 cells" in told.out and "model.width" in told.out
    first = json.loads(told.out[told.out.index("{") :])
    assert first["population"]["seed"] == [0, 1, 2]
    assert first["config"]["model"]["pattern"].startswith("conv(")
    assert not list(tmp_path.iterdir())


def test_a_dry_run_says_what_its_workers_would_do(here, tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "available", lambda device=None: 10**9)
    asked = ("--dry_run", "--set", "model.width=8,16,32")
    (one,) = re.findall(r"1 cell runs .* ([\d.]+) GB, and 1.00 GB", here(*asked).out)
    told = here(*asked, "--workers=2", f"--out={tmp_path}").out
    found = re.findall(
        r"2 cells run .* the 2 largest together need at least ([\d.]+) GB", told
    )
    assert float(one) >= 0.3 and float(found[0]) == pytest.approx(
        2 * float(one), rel=0.1
    )
    assert "too little" not in told
    assert f"In {tmp_path} 0 of 3 cells are done." in told
    told = here(*asked, "--workers=9").out
    assert "3 cells run at a time" in told
    monkeypatch.setattr(memory, "available", lambda device=None: 5 * 10**8)
    assert "0.50 GB are free: too little" in here(*asked, "--workers=2").out


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--set", "model.widht=3"], "did you mean 'model.width'"),
        (["--set", "task.length=zero"], "it must be a whole number"),
        (["--set", "model.pattern=danse"], "did you mean 'dense'"),
        (["--set", "task=recal"], "did you mean 'recall'"),
        (["--lr=0"], "lr is 0"),
        (["--size=huge"], "Unknown size"),
    ],
)
def test_a_mistake_in_the_cells_is_told_before_anything_runs(
    here, tmp_path, flags, words
):
    assert_one_sentence(here(f"--out={tmp_path / 'out'}", *flags), words)
    assert not (tmp_path / "out").exists()


def test_cells_that_are_done_are_counted(tmp_path):
    study = planted.study(patterns=("dense", "conv"), lengths=(32,))
    planted.written(tmp_path / "study", study)
    chosen = cells(study)
    words = "2 of 2 cells are done."
    assert together.ended(str(tmp_path / "study"), chosen).endswith(words)
    (store.place(tmp_path / "study", chosen[0].id) / layout.RESULT).unlink()
    assert "1 of 2" in together.ended(str(tmp_path / "study"), chosen)
    assert "0 of 2" in together.ended(str(tmp_path / "nowhere"), chosen)


def test_from_flags_to_results(script, tmp_path):
    """A cell is trained once, however often it is asked for."""
    out = tmp_path / "out"
    flags = [f"--out={out}", "--workers=2"]
    done = run(script, *flags)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = store.rows(out)
    assert [row["seed"] for row in rows] == [0, 1]
    assert (out / "results.csv").read_text().count("\n") == 3
    before = {p: p.read_bytes() for p in out.rglob("result.json")}
    more = [*flags, "--set", "model.width=8,16", "--only=1/2"]
    assert run(script, *more).returncode == 0
    assert before == {p: p.read_bytes() for p in out.rglob("result.json")}
    found = store.read_study(out)
    sweep = f"python scripts/sweep.py --experiment=small --out={out} --workers=2"
    assert found["commands"] == [sweep, f"{sweep} --set model.width=8,16 --only=1/2"]
    assert len(found["cells"]) == 1 and len(found["asked"]) == 2
