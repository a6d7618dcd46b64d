"""Compiles training steps for hardware that is not here: what fits, and what it costs.

    attn-research compile --platform=v5e-4 --task=recall --model.pattern=dense
    attn-research compile --platform=h100 --experiment=recall_distance --out=aot.json

Run it through `scripts/aot.sh tpu|cuda`, which has the compilers. Platforms: v4-8,
v5e-1, v5e-4, v5e-8, v5e-16, v5p-8, v6e-1, v6e-4, v6e-16, h100. Of each cell it shows
whether its step compiles and fits, bytes per device (arguments, temporaries), FLOPs and
sequential steps of a training step, the kernels called, and the seconds to compile.
Exit code 0: everything fits, 1: something does not.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags as absl_flags

from attn_research import commands, flags
from attn_research.commands import presets
from attn_research.config import Config, Population, flatten, to_dict
from attn_research.host.exits import DONE, FAILED
from attn_research.options import BadInput, declared, option
from attn_research.studies import selection
from attn_research.studies.study import Cell, Study

TAKES, MANY = "", False
GB = 1e9


@declared
class Options:
    """What is compiled, and for which hardware."""

    platform: str | None = option(
        None, "Hardware, such as v5e-1, v5e-4, v6e-4, v5p-8 or h100."
    )
    experiment: str | None = option(
        None, "Compile the cells of an experiment instead of the one config of flags."
    )
    size: str = option("quick", "Size of the study, such as quick or full.")
    only: str | None = option(None, "i/n: every n-th cell, from the i-th on.")
    architecture: str | None = option(
        None, "Published architecture in place of a pattern, such as griffin."
    )
    scale: str | None = option(
        None, "Size of models and training at once: nano, tiny, small or base."
    )
    out: str | None = option(None, "JSON file to write.")
    verbose: bool = option(False, "Also show what libraries log and warn of.")


def define() -> None:
    """Declares the flags."""
    flags.define(Options)
    flags.define_run()
    absl_flags.DEFINE_multi_string(
        "set", [], "FIELD=VALUE,VALUE,...: replaces or adds an axis (repeatable)."
    )


def run() -> int:
    """Prints a table, writes the JSON; returns the exit code."""
    options = flags.given(Options)
    if options.platform is None:
        raise BadInput("--platform is missing; it must be hardware, such as v5e-4")
    from attn_research.training import targets

    commands.plug()
    cells = _one(options) if options.experiment is None else _many(options)
    targets.mesh(options.platform)  # refuses what cannot be compiled for
    rows = [row(cell, options.platform) for cell in cells]
    show(cells, rows)
    for one in rows:
        if one["refused"]:
            print(f"{one['cell']} does not fit: {one['refused']}")
    if options.out:
        from attn_research.host import environment

        found = {"cells": rows, "environment": environment.software()}
        Path(options.out).write_text(json.dumps(found, indent=1) + "\n")
    return DONE if all(one["fits"] for one in rows) else FAILED


def _one(options: Options) -> list[Cell]:
    """The cell that the flags describe."""
    flags.unused(["size", "only", "set"], "without --experiment")
    config, population = flags.given_run()
    config, population = presets.of_run(options, config, population)
    return selection.resolved(Study("", "", "", config, population=population))


def _many(options: Options) -> list[Cell]:
    """The cells of an experiment."""
    words = [line.partition("=")[0].lstrip("-") for line in flags.lines(Config())]
    flags.unused(words, "with --experiment; --set changes its cells")
    folder, name = commands.chosen(options.experiment)
    study = selection.experiment(folder, name, options.size)
    given = flags.names_given()
    chosen = {
        name: values
        for name, values in vars(flags.given(Population)).items()
        if name in given
    }
    study = selection.apply_flags(study, flags.FLAGS.set, chosen)
    study = presets.of_study(options, study)
    return selection.resolved(study)[selection.share(options.only)]


def row(cell: Cell, platform: str) -> dict[str, Any]:
    """What is known of a cell on a platform, as JSON."""
    from attn_research.testing.laws.products import flops
    from attn_research.testing.laws.steps import sequential
    from attn_research.training import ahead

    trace, devices = ahead.traced(cell.config, cell.population.size, platform)
    made = ahead.compiled(trace, devices, platform)
    return {
        "cell": cell.id,
        "platform": platform,
        "members": cell.population.size,
        "fits": made.fits,
        "flops": flops(trace.jaxpr.jaxpr),
        "sequential_steps": sequential(trace.jaxpr.jaxpr),
        **made._asdict(),
        "config": to_dict(cell.config),
    }


def show(cells: Sequence[Cell], rows: Sequence[dict[str, Any]]) -> None:
    """Prints a line for each cell: what varies between them, and the figures."""
    from attn_research.launch.labels import short
    from attn_research.launch.overview import table
    from attn_research.studies.results import varying

    flat = [flatten(cell.config) for cell in cells]
    names = varying(flat)
    header = ["cell", *names, "kernels", "fits", "GB a device", "arguments"]
    header += ["temporaries", "FLOPs", "steps", "seconds"]
    lines = []
    for one, fields in zip(rows, flat, strict=True):
        sizes = (one[f"{kind}_bytes"] for kind in ("total", "argument", "temporary"))
        lines.append(
            [
                one["cell"],
                *(short(name, fields.get(name)) for name in names),
                ", ".join(f"{n} {name}" for name, n in one["kernels"].items()) or "-",
                "yes" if one["fits"] else "no",
                *(f"{size / GB:.3f}" for size in sizes),
                f"{one['flops']:.2e}",
                f"{one['sequential_steps']:,}",
                f"{one['seconds']:.0f}",
            ]
        )
    table(header, lines, right=7)
