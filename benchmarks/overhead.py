"""The cost of the training loop itself, on a cell of about a minute from start to end.

    python benchmarks/overhead.py --out=benchmarks/results/overhead_cpu.json

Everything outside the compiled advance counts as overhead: evaluations (including
their compute), metrics, checkpoints, signals and the progress line. Compilation is
reported separately. The cell is the dense one of `experiments/recall_distance.py`.
"""

import json
import sys
import tempfile
from pathlib import Path

from absl import flags

from attn_research.config import Config, Model, Population, Train
from attn_research.flags import FLAGS, main

flags.DEFINE_string("out", None, "JSON file to write.")
flags.DEFINE_integer("steps", 1500, "Training steps of each of the four members.")


def run() -> int:
    from attn_research import loop
    from attn_research.host import environment, layout

    config = Config(
        task="recall(length=32,pairs=4)",
        model=Model(pattern="dense(heads=1)", width=64),
        train=Train(steps=FLAGS.steps, batch=32, eval_every=100),
    )
    members = Population(seed=(0, 1), lr=(1e-3, 3e-3))
    with tempfile.TemporaryDirectory() as folder:
        code = loop.run(config, members, Path(folder) / "cell")
        result = layout.read_result(Path(folder) / "cell")
    assert result is not None and code == 0, "the cell did not finish"
    seconds, inside = result["seconds"], result["advance_seconds"]
    results = {
        "seconds": seconds,
        "advance_seconds": inside,
        "compile_seconds": result["compile_seconds"],
        "steps": sum(row["step"] for row in result["members"]),
        "overhead": 1 - inside / seconds,
        "environment": environment.facts(),
    }
    print(json.dumps({k: v for k, v in results.items() if k != "environment"}))
    if FLAGS.out:
        Path(FLAGS.out).write_text(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    main(run, sys.modules["__main__"].__doc__)
