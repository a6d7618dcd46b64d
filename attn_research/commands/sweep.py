"""Runs the cells of an experiment, each a population in a process of its own.

    attn-research sweep --experiment=recall_distance --out=runs/recall
    attn-research sweep ... --set model.width=32,64 --lr=1e-3,3e-3 --dry_run
    attn-research sweep --out=runs/recall --status
    attn-research sweep ... --submit=slurm --slurm="--partition=gpu --time=4:00:00"

Re-run the same command to resume, or --out alone: finished cells are skipped, killed
ones go on. Exit code 0: all cells are done, 1: some failed, 74: of the disk, 75:
stopped, the same command goes on.
"""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from absl import flags as absl_flags

from attn_research import commands, flags
from attn_research.commands import cluster, finished, presets
from attn_research.config import Population
from attn_research.host import layout
from attn_research.host.exits import DISK, DONE, FAILED
from attn_research.options import BadInput, declared, option
from attn_research.studies import selection, sinks
from attn_research.studies.study import Cell

TAKES, MANY = "", False
CHOOSING = (
    "size",
    "architecture",
    "scale",
    "confirm",
    "seed",
    "lr",
    "weight_decay",
    "only",
    "set",
)  # flags: which cells
RUNNING = ("workers", "widen", "grace", "allow_inexact_resume", "track")  # flags: how
CLUSTER = ("submit", "slurm", "array_limit", "ahead")  # flags: where


@declared
class Options:
    """What is swept, where, and how."""

    experiment: str | None = option(
        None, "Name of a module in experiments/, or the path of a Python file."
    )
    size: str = option("quick", "Size of the study, such as quick or full.")
    architecture: str | None = option(
        None, "Published architecture in place of a pattern, such as griffin."
    )
    scale: str | None = option(
        None, "Size of models and training at once: nano, tiny, small or base."
    )
    out: str | None = option(None, "Directory of the study; created if it is missing.")
    seed: tuple[int, ...] | None = option(
        None, "Seeds, such as 0,1,2; replaces the study's.", low=0
    )
    lr: tuple[float, ...] | None = option(
        None, "Peak learning rates; replaces the study's.", above=0
    )
    weight_decay: tuple[float, ...] | None = option(
        None, "Weight decays; replaces the study's.", low=0
    )
    confirm: bool = option(
        False, "Fresh seeds, the study's plus 1,000, to confirm what others explored."
    )
    only: str | None = option(None, "i/n: every n-th cell, from the i-th on.")
    widen: bool = option(
        False, "Then add rates where the best is at an end, up to 7 of each cell."
    )
    workers: int = option(1, "Number of cells to run in parallel.", low=1)
    grace: float = option(
        60.0, "Seconds that a stopped cell has to write its checkpoint.", low=0
    )
    dry_run: bool = option(
        False, "Print the cells and their estimated cost, then exit."
    )
    status: bool = option(False, "Print the state of every cell, then exit.")
    collect: bool = option(False, "Write results.csv, then exit.")
    allow_inexact_resume: bool = option(
        False, "Resume in an environment that may change bits."
    )
    track: tuple[Literal["tensorboard", "wandb"], ...] | None = option(
        None, "Also show the curves in tensorboard, wandb (offline), or both."
    )
    verbose: bool = option(False, "Also show what libraries log and warn of.")
    submit: Literal["slurm"] | None = option(
        None, "Queue the cells on a cluster, each as a job, instead of running them."
    )
    slurm: str = option(
        "", 'Options of sbatch for each job: "--partition=gpu --gres=gpu:1".'
    )
    array_limit: int = option(0, "Jobs that run at once at most; 0: all.", low=0)
    ahead: str | None = option(
        None, "JSON of `compile --out`: cells that do not fit are not queued."
    )
    cancel: bool = option(False, "Take the study's jobs out of the queue, then exit.")


def define() -> None:
    """Declares the flags."""
    flags.define(Options)
    absl_flags.DEFINE_multi_string(
        "set",
        [],
        "FIELD=VALUE,VALUE,...: replaces or adds an axis (repeatable); a value with "
        'commas is quoted: model.pattern=dense,"conv,dense".',
    )


def run() -> int:
    """Runs the cells asked for, or only shows them."""
    options = flags.given(Options)
    _check(options)
    if options.out is None:
        if not options.dry_run or options.submit:
            raise BadInput("--out is missing; it must be the directory of the study")
        return _sweep(options, "")
    if options.status or options.collect:
        _plug(options.out)
    if options.status:
        return _status(options.out)
    if options.cancel:
        from attn_research.launch import slurm

        print(slurm.cancel(options.out))
        return DONE
    if options.collect:
        unread: set[str] = set()
        finished.collected(options.out, unread)
        return FAILED if unread else DONE
    begun = (Path(options.out) / layout.STUDY).exists()
    if options.experiment is None and begun and not options.dry_run:
        return _resume(options, options.out)
    return _sweep(options, options.out)


def _check(options: Options) -> None:
    """Raises `BadInput` for flags that exclude each other or that nothing reads."""
    names = ("dry_run", "status", "collect", "cancel")
    modes = [name for name in names if getattr(options, name)]
    if len(modes) > 1:
        raise BadInput(
            f"--{modes[0]} and --{modes[1]} exclude each other; one must be left out"
        )
    if modes and not options.dry_run:
        unused = [*CHOOSING, *RUNNING, *CLUSTER, "experiment"]
        flags.unused(unused, f"with --{modes[0]}")
    if options.submit is None:
        flags.unused(CLUSTER[1:], "without --submit")
        if options.dry_run:  # it says what the workers would do
            flags.unused([one for one in RUNNING if one != "workers"], "with --dry_run")
    else:
        flags.unused(["workers", "widen"], "with --submit")
    sinks.require(options.track or ())
    cluster.require(options)


def _resume(options: Options, out: str) -> int:
    """Runs the cells that study.json lists; no experiment is needed for that."""
    from attn_research.studies import store

    chosen = [name for name in CHOOSING if name != "only"]
    chosen.append("widen")
    flags.unused(chosen, "without --experiment for a study that has begun")
    _plug(out)
    asked = store.read_study(out)["asked"]
    return _run(options, out, asked[selection.share(options.only)])


def _plug(out: str) -> None:
    """Loads the plugins that the cells of a study need."""
    from attn_research.studies.described import read_study

    commands.plug(read_study(out)["plugins"], out)


def _sweep(options: Options, out: str) -> int:
    only = selection.share(options.only)
    commands.plug()
    folder, name = commands.chosen(options.experiment)
    study = selection.experiment(folder, name, options.size)
    lists = {name: getattr(options, name) for name in Population.__dataclass_fields__}
    study = selection.apply_flags(study, flags.FLAGS.set, lists)
    study = presets.of_study(options, study)
    presets.say(options)
    if options.confirm:
        study = selection.confirming(study)
        selection.require_apart(Path(out), study)
    asked = selection.resolved(study)
    cells = asked[only]
    from attn_research.launch import overview, together
    from attn_research.studies import store

    if options.dry_run and options.submit:
        from attn_research.launch import slurm

        ids = cluster.fitting(options, [cell.id for cell in cells])
        print(slurm.preview(out, ids, cluster.request(options, study.name)), end="")
        return DONE
    if options.dry_run:
        print(together.sentence(cells, options.workers))
        if out:
            print(together.ended(out, cells))
        overview.preview(cells)
        return 0
    command = shlex.join([*commands.called(), *sys.argv[1:]])
    opened = store.open_study(
        out,
        study,
        cells,
        asked=asked,
        command=command,
        size=options.size,
        allow_inexact_resume=options.allow_inexact_resume,
    )
    code = _run(options, out, opened.ids)
    while options.widen and code == DONE and (more := _wider(out, asked)):
        asked = [*asked, *more]
        opened = store.open_study(
            out, study, more, asked=asked, command=command, size=options.size
        )
        code = _run(options, out, opened.ids)
    return code


def _wider(out: str, cells: Sequence[Cell]) -> list[Cell]:
    """The cells whose rates widen the grids of others; says which."""
    from attn_research.studies import store, widening

    more = widening.wider(cells, store.rows(out))
    for cell in more:
        rates = ", ".join(f"{lr:g}" for lr in cell.population.lr)
        print(f"{cell.id} adds the rate {rates} to {cell.config.model.pattern}.")
    return more


def _run(options: Options, out: str, ids: list[str]) -> int:
    """Runs cells, collects the results of the study, and says what they are."""
    from attn_research.launch import command, local, slurm
    from attn_research.studies import store

    described = store.read_study(out)
    if options.submit:
        fits = cluster.fitting(options, ids)
        print(slurm.submit(out, fits, cluster.request(options, described["name"])))
        return DONE if len(fits) == len(ids) else FAILED
    code = local.run(
        out,
        ids,
        workers=options.workers,
        grace=options.grace,
        command=command.cell_command(cluster.more(options)),
        axes=[name for name, values in described["axes"].items() if len(values) > 1],
        verbose=options.verbose,
    )
    unread: set[str] = set()
    try:
        rows = finished.collected(out, unread)
    except OSError:
        if code != DISK:  # else it is said already
            raise
    else:
        if code in (DONE, FAILED) and rows:
            finished.ranked(rows)
            print(f"The page of the study: {finished.report(out)}")
    return FAILED if unread and code == DONE else code


def _status(out: str) -> int:
    """Prints the state of every cell."""
    from attn_research.launch import overview
    from attn_research.studies import store

    states = store.status(out)
    overview.show(states, out, cluster.queue(out))
    return FAILED if any(one.state == "unreadable" for one in states) else DONE
