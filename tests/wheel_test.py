"""What users install: the sdist and the wheel hold everything, and work alone."""

import fcntl
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from tests.command import ROOT

# The tests may run from a copy beside the package: this is where it can be built.
CHECKOUT = Path(os.environ.get("CHECKOUT", ROOT))
PACKAGE = CHECKOUT / "attn_research"


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """The archives, built once: two builds of one checkout would write over another."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))
    folder = tmp_path_factory.getbasetemp().parent / f"built-{run}"
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            command = [sys.executable, "-m", "build", "--no-isolation"]
            command += ["--outdir", str(folder), str(CHECKOUT)]
            done = subprocess.run(command, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
    return folder


def wanted() -> set[str]:
    """Every file of the package, as its archives name it."""
    files = [p for p in PACKAGE.rglob("*") if p.is_file() and p.suffix != ".pyc"]
    return {str(path.relative_to(CHECKOUT)) for path in files}


def test_the_wheel_and_the_sdist_hold_every_file_of_the_package(built):
    (wheel,) = built.glob("*.whl")
    (sdist,) = built.glob("*.tar.gz")
    names = set(zipfile.ZipFile(wheel).namelist())
    with tarfile.open(sdist) as archive:
        whole = {name.partition("/")[2] for name in archive.getnames()}
    assert wanted() - names == set() and wanted() - whole == set()
    assert {name for name in names if "dist-info" not in name} == wanted()
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert {"LICENSE", "README.md", "pyproject.toml", "setup.cfg"} <= whole


def test_the_metadata_say_who_and_what(built):
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith("METADATA")]
        said = Parser().parsestr(archive.read(name).decode())
    assert said["Author"] == "attn_research contributors"
    assert said["License-Expression"] == "Apache-2.0"
    assert "Typing :: Typed" in (said.get_all("Classifier") or [])
    assert said["Keywords"] and "Project-URL" not in said
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "twine",
            "check",
            "--strict",
            *map(str, built.iterdir()),
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def environment(folder: Path) -> Path:
    """The Python of a new, empty environment."""
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True
    )
    return folder / "bin" / "python"


def install(python: Path, *what: str) -> None:
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    subprocess.run([*pip, "--disable-pip-version-check", *what], check=True)


def beside(folder: Path, wheels: Path) -> Path:
    """The Python of an environment with the wheel and the packages of this one.

    No editable install is seen in it.
    """
    python = environment(folder)
    own = folder / Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)
    paths = [p for p in sys.path if p.endswith("site-packages")]
    (own / "packages.pth").write_text("\n".join(paths) + "\n")
    install(python, "--no-deps", "--ignore-installed", *map(str, wheels.glob("*.whl")))
    return python


def works(python: Path, folder: Path) -> None:
    """Runs tests/stranger.py in an empty folder, with nothing of ours on the path."""
    folder.mkdir()
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "CHECKOUT")}
    done = subprocess.run(
        [str(python), str(ROOT / "tests" / "stranger.py")],
        cwd=folder,
        env={**kept, "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all work" in done.stdout


def test_a_stranger_with_the_wheel_trains_loads_and_reports(built, tmp_path):
    python = beside(tmp_path / "venv", built)
    works(python, tmp_path / "empty")


@pytest.mark.slow
def test_so_does_one_with_a_fresh_environment(built, tmp_path):
    """With the locked packages of the core alone, installed anew."""
    python = environment(tmp_path / "venv")
    install(python, "--require-hashes", "-r", str(CHECKOUT / "requirements.lock"))
    install(python, "--no-deps", *map(str, built.glob("*.whl")))
    works(python, tmp_path / "empty")


LOAD = """
import attn_research as ar
import jax.numpy as jnp
restored = ar.load("runs/reach", mixer="ema", member="best")
logits_BTV = restored.model.apply(restored.params, jnp.full((1, 8), 2))
assert logits_BTV.shape == (1, 8, 10) and restored.step == 4
print("loaded")
"""


@pytest.mark.slow
def test_a_package_of_a_stranger_brings_its_mixer_its_task_and_its_study(
    built, tmp_path
):
    """examples/my_mixer, installed beside the wheel, without a flag that names it."""
    python = beside(tmp_path / "venv", built)
    folder = tmp_path / "my_mixer"
    shutil.copytree(ROOT / "examples" / "my_mixer", folder)
    install(python, "--no-deps", "--no-build-isolation", "--no-index", str(folder))
    kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "CHECKOUT")}
    command = str(python.with_name("attn-research"))

    def run(*words: str, code: int = 0) -> str:
        done = subprocess.run(
            words,
            cwd=folder,
            env={**kept, "PYTHONSAFEPATH": "1", "XLA_FLAGS": ""},
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    assert "passed" in run(str(python), "-m", "pytest", "-q", "tests/laws_test.py")
    assert "ema: shape: kept" in run(command, "check", "ema", "--law=shape")
    study = ["--experiment=my_mixer/study.py", "--size=tiny"]
    run(command, "sweep", *study, "--out=runs/reach")
    assert "2 done" in run(command, "sweep", "--out=runs/reach", "--status")
    run(command, "report", "runs/reach")
    assert "loaded" in run(str(python), "-c", LOAD)
