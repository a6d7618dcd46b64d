"""Random calls of every command with something wrong in them: one sentence each."""

import importlib
import random
import signal
import typing
from pathlib import Path
from types import FrameType

import pytest

from attn_research import commands
from attn_research.config import Config, Population
from attn_research.host import exits
from attn_research.options import leaves
from tests.command import Ended, command

SMALL = (
    "--task=recall(length=8,pairs=1,vocabulary=16)",
    "--model.pattern=conv",
    "--model.layers=1",
    "--model.width=4",
    "--train.batch=2",
    "--train.steps=2",
    "--train.eval_every=1",
    "--train.eval_batches=1",
    "--train.test_batches=1",
)
WORDS = (
    "", " ", "abc", "-1", "0", "2147483648", "99999999999999999999", "1e9", "0x10",
    "1_000", "1.5", "nan", "-inf", "1e400", "1e-400", "½", "٣", "1,2", "1,,2", ",",
    "none", "true", "maybe", "..", "../..", "/", "/dev/null", "/proc/self/mem", "~",
    "~nobody/x", "a" * 5000, "(" * 500, "\udcff\udcfe", "\x1b[31mred", "a\nb", "=",
    "--", "'", '"', "$(id)", "{{7*7}}", "%s%n", "recall(", "recall(length=)", "nosuch",
    "recall(length=4,length=5)", "recall(length=2147483647)", "recall(vocabulary=1)",
    "text(path=)", "text(path=/dev/null)", "text(path=~nobody)",
    "listops(depth=999999)",
    "audio_classification(path=/dev/null)", "needle(filler=nowhere)", "dense(",
    "dense,", "dense(heads=0)", "dense(heads=3)", "|", "+", "conv(width=99999999999)",
    "dense(positions=ropee)", "mamba(state=1000000000)", "window(window=0)",
)  # fmt: skip
SCRIPTS = {name: name for name in commands.COMMANDS} | {"prepare": "prepare_data"}


def written(folder: Path) -> dict[str, Path]:
    """Files that no command should be given, by name."""
    folder.mkdir()
    contents = {
        "empty": b"",
        "binary": random.Random(0).randbytes(3000),
        "utf16": "--train.steps=3\n--lr=1e-3\n".encode("utf-16"),
        "zeros": bytes(3000),
        "json": b'{"name": 3, "cells": "x", "config": []}',
        "deep": b"[" * 100_000,
        "long": b"--train.steps=" + b"9" * 200_000,
    }
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    (folder / "folder").mkdir()
    for place, file in (("study", "study.json"), ("run", "config.json")):
        for name, data in contents.items():
            (folder / f"{place}-{name}").mkdir()
            (folder / f"{place}-{name}" / file).write_bytes(data)
    return {p.name: p for p in folder.iterdir()} | {"missing": folder / "missing"}


def names(name: str) -> list[str]:
    """The flags of a command."""
    module = importlib.import_module(f"attn_research.commands.{name}")
    own = [field for field, _, _ in leaves(module.Options)]
    if name == "train":
        hints = typing.get_type_hints(Config)
        own += [field for field, _, _ in leaves(Population)]
        for group in ("model", "train", "init"):
            own += [f"{group}.{field}" for field, _, _ in leaves(hints[group])]
        own += ["init_from", "task.length", "task.nosuch", "task."]
    return [*own, "flagfile", "nosuch", "undefok"]


def call(seed: int, folder: Path, files: dict[str, Path]) -> tuple[str, list[str]]:
    """A command and arguments of which one to three are drawn to be wrong."""
    draw = random.Random(seed)
    name = draw.choice(["train", "train", "train", *commands.COMMANDS])
    arguments = [*SMALL, f"--out={folder / str(seed)}"] if name == "train" else []
    if name == "sweep":
        arguments = ["--experiment=recall_distance", "--dry_run"]
        arguments.append(f"--out={folder / 'study'}")
    for _ in range(draw.randint(1, 3)):
        value = draw.choice([*WORDS, *map(str, files.values())])
        kind = draw.random()
        if kind < 0.8:
            flag = draw.choice(names(name))
            # What runs for hours, or in other processes, is no bad call.
            if flag not in ("train.steps", "train.test_batches", "workers", "dry_run"):
                arguments.append(f"--{flag}={value}")
        elif kind < 0.9:
            arguments.append(value)
        else:
            arguments.append(f"--{value}")
    if name in ("report", "analyze"):
        arguments.append(str(draw.choice([*files.values()])))
    return name, arguments


class Endless(BaseException):
    """A call took longer than any refusal may."""


def _endless(number: int, frame: FrameType | None) -> None:
    raise Endless


def tried(name: str, arguments: list[str], seconds: int = 120) -> Ended:
    before = signal.signal(signal.SIGALRM, _endless)
    signal.alarm(seconds)
    try:
        return command(SCRIPTS[name], *arguments)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


CODES = (exits.DONE, exits.ALL_DIVERGED, exits.BAD_INPUT, exits.DISK)


@pytest.mark.parametrize(
    "seeds",
    [range(15), *(pytest.param(range(n, n + 60), marks=pytest.mark.slow)
     for n in range(100, 700, 60))],
    ids=lambda seeds: f"{seeds[0]}-{seeds[-1]}",
)  # fmt: skip
def test_no_call_ends_in_a_traceback(seeds, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = written(tmp_path / "files")
    codes, wrong = [], []
    for seed in seeds:
        name, arguments = call(seed, tmp_path, files)
        ended = tried(name, arguments)
        errors = [one for one in ended.err.splitlines() if one.startswith("Error: ")]
        told = len(errors) == 1 and len(errors[0]) < 2100
        if (
            "Traceback" in ended.out + ended.err
            or ended.code not in CODES
            or (ended.code in (exits.BAD_INPUT, exits.DISK) and not told)
        ):
            said = f"{ended.code} {ended.err[-1500:]}"
            wrong.append(f"seed {seed}: {name} {arguments}: {said}")
        codes.append(ended.code)
    print({code: codes.count(code) for code in sorted({*codes})})
    assert not wrong, "\n\n".join(wrong)
    assert codes.count(exits.BAD_INPUT) > len(codes) // 2
