"""Writes the page of a study: figures, tables and the verdict. Or of several: a ledger.

    python scripts/report.py runs/recall_distance
    python scripts/report.py --ledger runs/byte_lm runs/mad --out=runs/ledger

A ledger also writes the page of each study, and LEDGER.md, the same as a table.
"""

import sys
from pathlib import Path

from absl import flags

from attn_research.flags import DONE, FLAGS, main
from attn_research.options import BadInput

EXPERIMENTS = Path(__file__).resolve().parents[1] / "experiments"

flags.DEFINE_string(
    "size",
    None,
    "Size of the study that states the expectations, such as quick or full; by default "
    "the one that was swept.",
)
flags.DEFINE_bool("ledger", False, "Gathers studies: claims, verdicts, effects, costs.")
flags.DEFINE_string("out", "runs/ledger", "Directory of the ledger.")


def run(*directories: str) -> int:
    from attn_research import report, store
    from attn_research.launch import selection
    from attn_research.report import ledger

    given = f"{len(directories)} arguments are given"
    if FLAGS.ledger and not directories:
        raise BadInput(f"{given}; give --ledger the directories of studies")
    if not FLAGS.ledger and len(directories) != 1:
        raise BadInput(f"{given}; give one directory of a study, or --ledger")
    described = [store.read_study(directory) for directory in directories]
    studies = [
        selection.named(EXPERIMENTS, one["name"], FLAGS.size or one["size"])
        for one in described
    ]
    pairs = list(zip(directories, studies, strict=True))
    entries = ledger.gather(pairs) if FLAGS.ledger else []
    for directory, study in pairs:
        written = report.write(directory, study)
        for line in report.headlines(written.findings):
            print(line)
        print(f"Report: {written.path.resolve()}")
    if FLAGS.ledger:
        path = ledger.write(FLAGS.out, entries)
        for entry in entries:
            print(f"{entry.verdict}: {entry.claim}")
        print(f"Ledger: {path.resolve()}")
    return DONE


if __name__ == "__main__":
    main(run, sys.modules["__main__"].__doc__, takes="directory of a study", many=True)
