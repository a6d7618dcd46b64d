"""Does a model of every mixer train on sequences of 16,384 tokens, and in what memory?

    python benchmarks/long_training.py --out=benchmarks/results/long_training_cpu.json

Each mixer of the table, with its defaults, in a model of two layers that learns to add
two numbers for two steps: a whole run of `scripts/train.py`, checkpoints and evaluation
included, in a process of its own on one core. Written is what the compiler predicted,
what the process reached, and the seconds of a step. An existing file keeps what is not
measured anew.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from absl import flags

from attn_research.flags import FLAGS, main

flags.DEFINE_string("out", None, "File that the JSON is written to.")
flags.DEFINE_list("only", None, "Names of mixers; by default all.")
flags.DEFINE_integer("length", 16_384, "Tokens of a sequence.")
flags.DEFINE_integer("width", 128, "Width of the model.")
TRAIN = Path(__file__).parent.parent / "scripts" / "train.py"


def trained(name: str, causal: bool) -> dict[str, Any]:
    """What a run of a mixer took and reached, or the last line it failed with."""
    from attn_research import layout

    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            str(TRAIN),
            f"--task=adding(length={FLAGS.length},causal={str(causal).lower()})",
            f"--model.pattern={name}",
            f"--model.width={FLAGS.width}",
            "--train.steps=2",
            "--train.batch=1",
            "--train.eval_every=2",
            "--train.eval_batches=1",
            "--train.test_batches=1",
            f"--out={folder}/run",
        ]
        environment = dict(os.environ, NPROC="1", JAX_PLATFORMS="cpu")
        log = Path(folder) / "log"
        with log.open("w") as lines:
            child = subprocess.Popen(
                command, env=environment, stdout=lines, stderr=lines
            )
            _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        result = layout.read_result(Path(folder) / "run")
        if child.returncode or result is None:
            return {"failed": log.read_text().strip().splitlines()[-1]}
        loss = result["members"][0]["test"]["loss"]
        return {
            "predicted_peak_bytes": result["peak_bytes"],
            "process_peak_bytes": used.ru_maxrss * 1024,
            "step_seconds": result["advance_seconds"] / 2,
            "cpu_seconds": used.ru_utime + used.ru_stime,
            "loss": loss if math.isfinite(loss) else None,
        }


def run() -> int:
    from attn_research import environment
    from attn_research.modules import BOTH_WAYS_ONLY, MIXERS

    path = Path(FLAGS.out) if FLAGS.out else None
    found: dict[str, Any] = {"mixers": {}}
    if path and path.exists():
        found = json.loads(path.read_text())
    found |= {"length": FLAGS.length, "width": FLAGS.width}
    for name in MIXERS:
        if FLAGS.only and name not in FLAGS.only:
            continue
        found["mixers"][name] = row = trained(name, name not in BOTH_WAYS_ONLY)
        found["environment"] = environment.facts()
        print(name, json.dumps(row), flush=True)
        if path:
            path.write_text(json.dumps(found, indent=1) + "\n")
    return int(any("failed" in row for row in found["mixers"].values()))


if __name__ == "__main__":
    main(run, sys.modules["__main__"].__doc__)
