"""Trials: kill -9 of single runs and of sweeps, from their first moment on.

A run, or a sweep with its cells, is killed at a random moment and started again by the
same command until it is done; what it leaves has the bits of one that was left alone.
"""

import os
import random
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from attn_research.host import environment
from attn_research.host.exits import DONE
from tests.faults.refusals import Scene, begun, cells, ended, leaves, sweep, train
from tests.faults.training import left
from tests.faults.trial import main

SCENES = {
    "train": Scene(train, lambda at: left(at / "run")),
    "sweep": Scene(sweep, cells),
}


def children(pid: int) -> list[int]:
    with suppress(OSError):
        path = Path(f"/proc/{pid}/task/{pid}/children")
        return [int(word) for word in path.read_text().split()]
    return []


def kill(pids: list[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def trials(folder: str, kills: int, seed: int, of: str) -> dict[str, Any]:
    root, draw, scene = Path(folder), random.Random(seed), SCENES[of]
    at, problems = root / "disk" / "at", []
    environment.code()  # children inherit it, though a file may change meanwhile
    at.mkdir(parents=True)
    began = time.monotonic()
    code, out, err = ended(scene, at)
    assert code == DONE, (out, err)
    lasts, whole = time.monotonic() - began, leaves(scene, at)
    landed = early = finished = 0
    fresh = True
    while landed < kills:
        if fresh:
            shutil.rmtree(at)
            at.mkdir()
        child, files = begun(scene, at)
        first = draw.random() < 0.4
        delay = draw.uniform(0, 1.0 if first else lasts)
        time.sleep(delay)
        # The launcher alone, a cell alone, or all at once: a cell outlives its launcher
        # by a checkpoint at most.
        own, others = [child.pid], children(child.pid)
        victims = draw.choice([own, others or own, own + others])
        kill(victims)
        status, told = child.end()
        kill([pid for pid in others if pid not in victims and status == -9])
        landed += status == -9 or victims == others != []
        early += delay < 1.0
        code = told[-1]["code"] if told else status
        text = _text(files)
        fresh = code == DONE
        if fresh:
            finished += 1
            if leaves(scene, at) != whole:
                problems.append(f"{landed}: other bits after {delay:.2f} s")
        elif status != -9 and victims != others:
            problems.append(f"{landed}: ended with {code}: {text[-500:]}")
    code, out, err = ended(scene, at)
    if code != DONE:
        problems.append(f"at last it ended with {code}: {out[-300:]} {err[-500:]}")
    elif leaves(scene, at) != whole:
        problems.append("other bits at last")
    return {
        "landed": landed,
        "early": early,
        "finished": finished,
        "problems": problems,
    }


def _text(files: list[Any]) -> str:
    texts = []
    for file in files:
        file.seek(0)
        texts.append(file.read().decode())
        file.close()
    return " ".join(texts)


if __name__ == "__main__":
    main(trials)
