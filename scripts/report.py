"""Writes the page of a study: figures, tables and the verdict.

python scripts/report.py runs/recall_distance
"""

import sys
from pathlib import Path

from absl import flags

from attn_research.flags import FLAGS, main

EXPERIMENTS = Path(__file__).resolve().parents[1] / "experiments"

flags.DEFINE_string(
    "size", "quick", "Size of the study that states the expectations, quick or full."
)


def run(directory: str) -> int:
    from attn_research import report, store
    from attn_research.launch import selection

    name = store.read_study(directory)["name"]
    study = None
    if (EXPERIMENTS / f"{name}.py").exists():
        study = selection.experiment(EXPERIMENTS, name, FLAGS.size)
    written = report.write(directory, study)
    for line in report.headlines(written.findings):
        print(line)
    print(f"Report: {written.path.resolve()}")
    return 0


if __name__ == "__main__":
    main(run, sys.modules["__main__"].__doc__, takes="directory of a study")
