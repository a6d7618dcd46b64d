"""How long a run of 16 members of 1,024 tokens takes to be analysed, by analysis.

    python benchmarks/analysis.py --out=benchmarks/results/analysis_cpu.json
    python benchmarks/analysis.py --pattern=lstm --length=256 --what=mixing,gradients

A run is trained for a few steps, then `scripts/analyze.py` looks inside of it in a
process of its own, three times: with nothing compiled before, with what the first time
has compiled but nothing kept, and with all results kept. Seconds of the wall clock and
of the processor; of each analysis the wall clock.
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

flags.DEFINE_string("out", None, "JSON written; printed where none is named.")
flags.DEFINE_string("pattern", "conv,dense", "Mixers of the run.")
flags.DEFINE_integer("length", 1024, "Tokens of a sequence.", lower_bound=16)
flags.DEFINE_integer("members", 16, "Members of the population.", lower_bound=1)
flags.DEFINE_string("what", "", "Analyses, with commas between; by default all.")


def train(directory: Path) -> None:
    """A run of a few steps, so that there is a checkpoint to look inside of."""
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
    """What a script prints, and the seconds of the wall clock and of the processor."""
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


def looked(run: Path, compiled: Path) -> dict[str, Any]:
    """The seconds of one look inside of a run."""
    what = [f"--what={FLAGS.what}"] if FLAGS.what else []
    where = {"JAX_COMPILATION_CACHE_DIR": str(compiled)}
    out, seconds, spent = called("analyze", str(run), *what, **where)
    each = {name: float(took) for _, name, took in LINE.findall(out)}
    return {"seconds": seconds, "cpu_seconds": spent, "analyses": each}


def run() -> int:
    from attn_research import environment

    with tempfile.TemporaryDirectory() as place:
        directory, compiled = Path(place, "run"), Path(place, "compiled")
        train(directory)
        found = {"first": looked(directory, compiled)}
        shutil.rmtree(directory / "analysis")
        found["compiled before"] = looked(directory, compiled)
        found["kept"] = looked(directory, compiled)
    setting = {name: FLAGS[name].value for name in ("pattern", "length", "members")}
    told = {
        "setting": setting,
        "cores": environment.cores(),
        **found,
        "environment": environment.software(),
    }
    text = json.dumps(told, indent=1)
    if FLAGS.out:
        Path(FLAGS.out).write_text(text + "\n")
    else:
        print(text)
    return 0


if __name__ == "__main__":
    main(run, sys.modules["__main__"].__doc__)
