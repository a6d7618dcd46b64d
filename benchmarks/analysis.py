"""The time of each analysis of a run of 16 members of 1,024 tokens.

    python benchmarks/analysis.py --out=benchmarks/results/analysis_cpu.json
    python benchmarks/analysis.py --pattern=lstm --length=256 --what=mixing,gradients

A run is trained for a few steps, then analysed by `scripts/analyze.py` in three
processes of their own: the first compiles everything, the second has the compiled
programs but no cached results (`compiled before`), the third has both (`kept`). The
JSON has the seconds of the wall clock and of the processor, and the wall clock of each
analysis.
"""

import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from absl import flags

from attn_research.flags import FLAGS, main
from attn_research.options import BadInput

ROOT = Path(__file__).resolve().parents[1]
LINE = re.compile(r"\s(\d+)/\d+  (\w+)  ([\d.]+) s$", re.M)

flags.DEFINE_string("out", None, "JSON file to write; by default the JSON is printed.")
flags.DEFINE_string("pattern", "conv,dense", "Pattern of mixers of the run.")
flags.DEFINE_integer("length", 1024, "Tokens of a sequence.", lower_bound=16)
flags.DEFINE_integer("members", 16, "Members of the population.", lower_bound=1)
flags.DEFINE_string("what", "", "Analyses, separated by commas; by default all.")


def train(directory: Path) -> None:
    """Trains for a few steps, so that the directory has a checkpoint to analyse."""
    seeds = ",".join(map(str, range(FLAGS.members)))
    pairs = FLAGS.length // 16
    called(
        "train",
        f"--task=recall(length={FLAGS.length},pairs={pairs},vocabulary=256)",
        f"--model.pattern={FLAGS.pattern}",
        f"--seed={seeds}",
        "--train.steps=2",
        "--train.batch=2",
        "--train.eval_every=2",
        "--train.eval_batches=1",
        "--train.test_batches=1",
        f"--out={directory}",
    )


def called(script: str, *arguments: str, **more: str) -> tuple[str, float, float]:
    """The output of a script, and its seconds of the wall clock and the processor."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / f"{script}.py"), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "JAX_PLATFORMS": "cpu", **more},
    )
    if done.returncode:
        raise BadInput(f"{script}.py failed: {done.stderr.strip()[-500:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)
    return done.stdout, time.monotonic() - began, spent


def analyse(run: Path, compiled: Path) -> dict[str, Any]:
    """The seconds of one analysis of a run, in all and by part."""
    what = [f"--what={FLAGS.what}"] if FLAGS.what else []
    cache = {"JAX_COMPILATION_CACHE_DIR": str(compiled)}
    out, seconds, spent = called("analyze", str(run), *what, **cache)
    each = {name: float(took) for _, name, took in LINE.findall(out)}
    return {"seconds": seconds, "cpu_seconds": spent, "analyses": each}


def run() -> int:
    from attn_research.host import environment

    with tempfile.TemporaryDirectory() as place:
        directory, compiled = Path(place, "run"), Path(place, "compiled")
        train(directory)
        times = {"first": analyse(directory, compiled)}
        shutil.rmtree(directory / "analysis")
        times["compiled before"] = analyse(directory, compiled)
        times["kept"] = analyse(directory, compiled)
    setting = {name: FLAGS[name].value for name in ("pattern", "length", "members")}
    result = {
        "setting": setting,
        "cores": environment.cores(),
        **times,
        "environment": environment.software(),
    }
    text = json.dumps(result, indent=1)
    if FLAGS.out:
        Path(FLAGS.out).write_text(text + "\n")
    else:
        print(text)
    return 0


if __name__ == "__main__":
    main(run, sys.modules["__main__"].__doc__)
