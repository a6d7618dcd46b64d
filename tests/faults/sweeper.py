"""Runs a study of cells that count: `python -m tests.faults.sweeper JSON`."""

import json
import os
import sys

from attn_research.config import Config
from attn_research.launch import local
from attn_research.studies import store
from attn_research.studies.study import Study, cells


def study(count: int) -> Study:
    axes = {"train.steps": list(range(1, count + 1))}
    return Study("counting", "Is every step done once?", "Yes.", Config(), axes)


def command(steps: int, pause: float) -> local.Command:
    module = [sys.executable, "-m", "tests.faults.cell"]
    tail = [str(steps), str(pause)]
    return lambda folder: [*module, str(folder), str(os.getpid()), *tail]


def sweep(
    directory: str, count: int, steps: int, pause: float, workers: int, grace: float
) -> int:
    wanted = study(count)
    opened = store.open_study(directory, wanted, cells(wanted))
    return local.run(
        directory,
        opened.ids,
        workers=workers,
        command=command(steps, pause),
        grace=grace,
        report=lambda sentence: print(sentence, flush=True),
    )


if __name__ == "__main__":
    sys.exit(sweep(**json.loads(sys.argv[1])))
