"""Does a model of every mixer train on sequences of 16,384 tokens, and in what memory?

    python benchmarks/long_training.py --out=benchmarks/results/long_training_cpu.json

Each mixer of the table, with its defaults, trains for two steps in a model of two
layers that learns to add two numbers: a whole run of `scripts/train.py`, including
checkpoints and evaluation, in a process of its own on one core. The JSON has the peak
memory that the compiler predicted, the peak of the process, and the seconds of a step.
Mixers that are not measured again keep their entries in an existing file.
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

flags.DEFINE_string("out", None, "JSON file to write.")
flags.DEFINE_list("only", None, "Mixers to measure; by default all.")
flags.DEFINE_integer("length", 16_384, "Tokens of a sequence.")
flags.DEFINE_integer("width", 128, "Width of the model.")
TRAIN = Path(__file__).parent.parent / "scripts" / "train.py"


def trained(name: str, causal: bool) -> dict[str, Any]:
    """The memory, time and loss of a run, or the last line it failed with."""
    from attn_research.host import layout

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
    from attn_research.host import environment
    from attn_research.modules import MIXERS
    from attn_research.modules.contract import both_ways_only

    path = Path(FLAGS.out) if FLAGS.out else None
    results: dict[str, Any] = {"mixers": {}}
    if path and path.exists():
        results = json.loads(path.read_text())
    results |= {"length": FLAGS.length, "width": FLAGS.width}
    for name in MIXERS:
        if FLAGS.only and name not in FLAGS.only:
            continue
        results["mixers"][name] = row = trained(name, not both_ways_only(MIXERS[name]))
        results["environment"] = environment.facts()
        print(name, json.dumps(row), flush=True)
        if path:
            path.write_text(json.dumps(results, indent=1) + "\n")
    return int(any("failed" in row for row in results["mixers"].values()))


if __name__ == "__main__":
    main(run, sys.modules["__main__"].__doc__)
