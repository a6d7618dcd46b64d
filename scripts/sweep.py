"""Runs the cells of an experiment, each a population in a process of its own.

    python scripts/sweep.py --experiment=recall_distance --out=runs/recall
    python scripts/sweep.py ... --set model.width=32,64 --lr=1e-3,3e-3 --dry_run
    python scripts/sweep.py --out=runs/recall --status

Finished cells are skipped and killed ones resume: run the same command again. Exit code
0: all done, 1: some failed, 75: stopped, the same command goes on.
"""

import shlex
import sys
from pathlib import Path

from absl import flags

from attn_research.config import Population
from attn_research.flags import FLAGS, main
from attn_research.launch import selection
from attn_research.options import BadInput, check, convert

EXPERIMENTS = Path(__file__).resolve().parents[1] / "experiments"

flags.DEFINE_string("experiment", None, "Name of a module in experiments/.")
flags.DEFINE_string("size", "quick", "Size of the study, such as quick or full.")
flags.DEFINE_string("out", None, "Directory of the study; made where it is missing.")
flags.DEFINE_multi_string(
    "set",
    [],
    "FIELD=VALUE,VALUE,...: replaces or adds an axis (repeatable); a value with commas "
    'in quotes: model.pattern=dense,"conv,dense".',
)
flags.DEFINE_string("seed", None, "Seeds, such as 0,1,2; replaces the study's.")
flags.DEFINE_string("lr", None, "Peak learning rates; replaces the study's.")
flags.DEFINE_string("weight_decay", None, "Weight decays; replaces the study's.")
flags.DEFINE_string("only", None, "i/n: every n-th cell, from the i-th on.")
flags.DEFINE_string("workers", "1", "Cells that run at a time.")
flags.DEFINE_string("grace", "60", "Seconds that a stopped cell has to checkpoint.")
flags.DEFINE_bool("dry_run", False, "Shows the cells and what they cost; runs none.")
flags.DEFINE_bool("status", False, "Shows the state of every cell; runs none.")
flags.DEFINE_bool("collect", False, "Writes results.csv; runs none.")
flags.DEFINE_bool(
    "allow_inexact_resume", False, "Resume in an environment that may change bits."
)


def number(name: str, kind: type, low: float) -> int | float:
    """The value of a flag as a number of at least `low`."""
    value = convert(FLAGS[name].value, kind, f"--{name}")
    check(value, {"low": low}, f"--{name}")
    return value


def sweep() -> int:
    """Runs the cells asked for, or only shows them."""
    workers, grace = number("workers", int, 1), number("grace", float, 0)
    only = selection.share(FLAGS.only)
    study = selection.experiment(EXPERIMENTS, FLAGS.experiment, FLAGS.size)
    lists = {name: FLAGS[name].value for name in Population.__dataclass_fields__}
    study = selection.changed(study, FLAGS.set, lists)
    asked = selection.resolved(study)
    cells = asked[only]
    from attn_research import store
    from attn_research.launch import local, overview

    if FLAGS.dry_run:
        overview.preview(cells)
        return 0
    command = shlex.join(["python", "scripts/sweep.py", *sys.argv[1:]])
    opened = store.open_study(
        FLAGS.out, study, cells, asked=asked, command=command, size=FLAGS.size
    )
    code = local.run(
        opened.directory,
        opened.ids,
        workers=int(workers),
        grace=grace,
        command=local.cell_command(FLAGS.allow_inexact_resume),
    )
    collect()
    return code


def collect() -> int:
    """Writes results.csv from the files of the cells."""
    from attn_research import store

    rows = store.collect(FLAGS.out)
    print(f"{Path(FLAGS.out) / 'results.csv'}: {len(rows)} members of finished cells.")
    return 0


def show() -> int:
    """Prints the state of every cell."""
    from attn_research import store
    from attn_research.launch import overview

    overview.show(store.status(FLAGS.out))
    return 0


def run() -> int:
    if not FLAGS.out and not FLAGS.dry_run:
        raise BadInput("--out is missing; give the directory of the study")
    if FLAGS.status:
        return show()
    return collect() if FLAGS.collect else sweep()


if __name__ == "__main__":
    main(run, sys.modules["__main__"].__doc__)
