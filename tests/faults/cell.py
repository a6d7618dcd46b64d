"""A cell that trains nothing: it counts, logs, checkpoints, resumes and finishes.

It behaves towards the launcher as a real one does, without the seconds that jax takes.
Its sum depends on every step, so that a step lost or done twice shows in the result.

    python -m tests.faults.cell FOLDER PARENT STEPS PAUSE
"""

import os
import signal
import sys
import time
from pathlib import Path

from attn_research.host import layout
from attn_research.host.durable import read_json, write_json
from attn_research.host.journal import Journal
from attn_research.host.lock import Lock
from attn_research.launch.cell import die_with, guard


def run(folder: Path, steps: int, pause: float) -> int:
    asked = []
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda *_: asked.append(1))
    with Lock(folder / layout.CHECKPOINTS, patience=0.2):
        saved = folder / layout.CHECKPOINTS / "state.json"
        state = read_json(saved) if saved.exists() else {"step": 0, "sum": 1}
        start = state["step"]
        with Journal(folder / layout.METRICS, lambda r: r["step"] <= start) as journal:
            while state["step"] < steps:
                step = state["step"] + 1
                state = {"step": step, "sum": state["sum"] * 31 % 1000003 + step}
                time.sleep(pause)
                if step % 3 == 0 or asked or step == steps:
                    journal.append({"step": step, "member": 0, "sum": state["sum"]})
                    journal.commit()
                    write_json(saved, state)
                if asked:
                    return 75
        write_json(folder / layout.RESULT, result(folder.name, state))
        (folder / layout.ERROR).unlink(missing_ok=True)
    return 0


def result(name: str, state: dict) -> dict:
    member = {
        "member": 0, "seed": 0, "lr": 1e-3, "weight_decay": 0.1, "status": "done",
        "step": state["step"], "validation": {"accuracy": 0.5}, "sum": state["sum"],
    }  # fmt: skip
    return {"cell": name, "metric": "accuracy", "goal": "max", "members": [member]}


if __name__ == "__main__":
    place = Path(sys.argv[1])
    die_with(int(sys.argv[2]))
    if os.environ.get("STARTS"):  # a log of who ran where, for the tests
        with open(os.environ["STARTS"], "a") as file:
            file.write(f"{place.name} {sorted(os.sched_getaffinity(0))}\n")
    how = (int(sys.argv[3]), float(sys.argv[4]))
    sys.exit(guard(place, lambda: run(place, *how)))
