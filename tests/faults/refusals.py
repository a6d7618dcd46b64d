"""Trials: the disk refuses one operation, or all from one on, amid any command.

A shim below libc (refusing.c) fails the operation, so that Python and TensorStore
meet the error alike, on any thread. The same command then runs on a good disk, and what
it leaves is compared with what a command that was left alone has left.
"""

import errno
import hashlib
import io
import os
import random
import runpy
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax  # noqa: F401  imported before the fork, so that a trial is short
import orbax.checkpoint  # noqa: F401

import attn_research.loop  # noqa: F401
import attn_research.report.inside  # noqa: F401
from attn_research.host import environment
from attn_research.host.exits import DISK, DONE, FAILED
from attn_research.studies import store
from attn_research.tasks.data import builder  # noqa: F401
from attn_research.tasks.data.catalogue import DATA_SETS
from tests.faults.training import left
from tests.faults.trial import ROOT, Child, fork, main
from tests.tasks.data import made

NUMBERS = ("EIO", "ENOSPC", "EDQUOT", "EROFS")
SMALL = {
    "model.pattern": "conv",
    "model.layers": "1",
    "model.width": "4",
    "train.batch": "2",
    "train.steps": "4",
    "train.eval_every": "2",
    "train.checkpoint_every": "2",
    "train.eval_batches": "1",
    "train.test_batches": "1",
}
TASK = "recall(length=8,pairs=1,vocabulary=16)"


class Scene(NamedTuple):
    """A command on a directory, what lies there before, and what it leaves."""

    arguments: Callable[[Path], list[str]]
    left: Callable[[Path], Any]
    before: Path | None = None


def train(at: Path) -> list[str]:
    return ["train", f"--task={TASK}", f"--out={at / 'run'}", *(
        f"--{name}={value}" for name, value in SMALL.items())]  # fmt: skip


def sweep(at: Path) -> list[str]:
    given = {**SMALL, "task.length": "16", "task.pairs": "2"}
    sets = [f"--set={name}={value}" for name, value in given.items()]
    hypers = ["--seed=0", "--lr=1e-3"]
    named = "--experiment=recall_distance"
    return ["sweep", named, f"--out={at / 'study'}", *hypers, *sets]


def cells(at: Path) -> list[Any]:
    study = at / "study"
    return [left(store.place(study, cell["id"])) for cell in
            store.read_study(study)["cells"]]  # fmt: skip


def page(at: Path) -> list[bytes]:
    files = ("results.csv", "report/index.html", "report/cost_flops.csv")
    return [(at / "study" / name).read_bytes() for name in files]


def analysis(at: Path) -> list[str]:
    return sorted(path.name for path in (at / "run" / "analysis").glob("*.*"))


def arrays(at: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(at)): path.read_bytes()
        for path in sorted((at / "sets" / "packed").rglob("*.npy"))
    }


class Disk:
    """The shim's memory: which operation fails next, and what failed."""

    def __init__(self, log: Path):
        self.log = log

    def prepare(self, at: int, number: int, on: bool) -> None:
        with open(self.log, "r+b") as file:
            file.write(struct.pack("4Q", 0, at, number, on) + bytes(480))

    def seen(self) -> tuple[int, str]:
        """(number of operations, the one that failed first)."""
        data = self.log.read_bytes()
        return struct.unpack("Q", data[:8])[0], data[32:].split(b"\0")[0].decode()


def begun(scene: Scene, at: Path) -> tuple[Child, list[Any]]:
    """A child that runs the command, and the files of its output and errors."""
    name, *arguments = scene.arguments(at)
    files = [open(at.parent.parent / kind, "w+b") for kind in ("out", "err")]

    def body(tell: Any) -> None:
        for handle, file in enumerate(files, 1):
            os.dup2(file.fileno(), handle)
        for stream, handle in (("stdout", 1), ("stderr", 2)):
            made = io.TextIOWrapper(io.FileIO(handle, "w", closefd=False))
            setattr(sys, stream, made)
            setattr(sys, f"__{stream}__", made)
        script = "prepare_data" if name == "prepare" else name
        path = str(ROOT / "scripts" / f"{script}.py")
        sys.argv = [path, *arguments]
        try:
            runpy.run_path(path, run_name="__main__")
        except SystemExit as end:
            tell({"code": end.code})

    return fork(body), files


def ended(scene: Scene, at: Path) -> tuple[int, str, str]:
    """(exit code, output, errors) of the command in a child."""
    child, files = begun(scene, at)
    _, told = child.end()
    texts = []
    for file in files:
        file.seek(0)
        texts.append(file.read().decode())
        file.close()
    return (told[-1]["code"] if told else -1), texts[0], texts[1]


def leaves(scene: Scene, at: Path) -> str:
    """A digest of what the command has left; read in a child, for it starts threads."""
    child = fork(
        lambda tell: tell(hashlib.sha256(repr(scene.left(at)).encode()).hexdigest())
    )
    _, told = child.end()
    return told[-1] if told else "nothing that can be read"


def sentences(name: str, out: str, err: str) -> list[str]:
    """The sentences in which a command says that it failed."""
    said = err.splitlines()
    if name == "sweep":  # the launcher says it of a cell, on standard output
        said += [line for line in out.splitlines() if " failed: " in line]
    return said


def scenes(folder: Path) -> dict[str, Scene]:
    """Every command, with what has to lie there before it."""
    raw = folder / "raw"
    DATA_SETS["gap"] = made.data_set("gap", raw)
    run, study = folder / "with_run", folder / "with_study"
    found = {
        "train": Scene(train, lambda at: left(at / "run")),
        "sweep": Scene(sweep, cells),
        "report": Scene(lambda at: ["report", str(at / "study")], page, study),
        "analyze": Scene(
            lambda at: ["analyze", str(at / "run"), "--what=answers"],
            analysis,
            run,
        ),
        "prepare": Scene(
            lambda at: ["prepare", "gap", f"--raw_dir={raw}",
                        f"--data_dir={at / 'sets'}"],
            arrays,
        ),
    }  # fmt: skip
    return found


def trials(
    folder: str, count: int, seed: int, names: list[str], log: str, limit: int = 0
) -> dict[str, Any]:
    """`limit` operations at most pass before the error; 0: as many as there are."""
    root, draw, disk = Path(folder), random.Random(seed), Disk(Path(log))
    under = root / "disk"
    every = scenes(root)
    problems: list[str] = []
    refused, harmless = 0, []
    environment.code()  # children inherit it, though a file may change meanwhile
    disk.prepare(0, 0, False)
    for kind, name in (("run", "train"), ("study", "sweep")):
        if any(every[n].before == root / f"with_{kind}" for n in names):
            _fresh(under, None)
            code, _, err = ended(every[name], under / "at")
            assert code == DONE, err
            shutil.copytree(under / "at", root / f"with_{kind}")
    totals: dict[tuple[str, int], int] = {}
    whole: dict[str, str] = {}
    for trial in range(count):
        name = names[trial % len(names)]
        scene = every[name]
        number = getattr(errno, NUMBERS[draw.randrange(len(NUMBERS))])
        on = draw.random() < 0.5
        if name not in whole or ((name, number) not in totals and not limit):
            _fresh(under, scene.before)
            disk.prepare(0, number, False)
            code, out, err = ended(scene, under / "at")
            assert (code, err) == (DONE, ""), (name, code, out, err)
            totals[name, number] = disk.seen()[0]
            if name not in whole:
                whole[name] = leaves(scene, under / "at")
        _fresh(under, scene.before)
        at = draw.randrange(1, (limit or totals[name, number]) + 1)
        disk.prepare(at, number, on)
        code, out, err = ended(scene, under / "at")
        seen, what = disk.seen()
        label = f"{trial}: {name}, {errno.errorcode[number]} at {at} ({what})"
        said = sentences(name, out, err)
        if code == DONE and what:
            harmless.append(what)
            if said:
                problems.append(f"{label}: ended well and said {said}")
        elif what:
            refused += 1
            one = len(said) == 1 and os.strerror(number) in said[0]
            # A cell that is not read is shown, and the rest with it.
            unread = f"cannot be read ({os.strerror(number)})" in out and not err
            if not (code == DISK and one or code == FAILED and unread):
                problems.append(f"{label}: code {code}, {len(said)} lines, {said[:3]}")
        disk.prepare(0, 0, False)
        code, out, err = ended(scene, under / "at")
        if code != DONE:
            problems.append(f"{label}: again it ended with {code}: {out} {err[-500:]}")
        elif leaves(scene, under / "at") != whole[name]:
            problems.append(f"{label}: it left something else")
    return {"refused": refused, "harmless": harmless, "problems": problems}


def _fresh(under: Path, before: Path | None) -> None:
    shutil.rmtree(under, ignore_errors=True)
    under.mkdir()
    if before is not None:
        shutil.copytree(before, under / "at")
    else:
        (under / "at").mkdir()


def built(folder: Path) -> Path | str:
    """The shim, or why there is none."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return "there is no C compiler"
    shim = folder / "refusing.so"
    source = Path(__file__).with_name("refusing.c")
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(shim), str(source)]
    done = subprocess.run([*command, "-ldl"], capture_output=True, text=True)
    return shim if done.returncode == 0 else done.stderr


if __name__ == "__main__":
    main(trials)
