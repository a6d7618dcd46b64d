"""Trains one population: one config, every combination of seeds and learning rates.

    attn-research train --task=recall --model.pattern=dense \\
        --lr=1e-3,3e-3 --seed=0,1 --out=runs/first

The directory given by --out holds the run; the same command again resumes it.
--pretrain=masked (or causal) first trains a model on the task's own text, in
OUT-pretraining, and starts from its trunk; --init_from=RUN starts from the trunk of any
other run.
"""

import os
from contextlib import ExitStack
from typing import Literal

from attn_research import commands, flags
from attn_research.commands import presets
from attn_research.config import mesh
from attn_research.host import layout, slots
from attn_research.options import BadInput, declared, option

TAKES, MANY = "", False


@declared
class Options:
    """What `train` is asked beside the config and the population."""

    out: str | None = option(None, "Directory of the run; created if it is missing.")
    allow_inexact_resume: bool = option(
        False, "Resume in an environment that may change bits."
    )
    pretrain: Literal["masked", "causal"] | None = option(
        None, "Pretrain on the task's text first: masked or causal."
    )
    pretrain_steps: int = option(
        0, "Steps of pretraining; 0: as many as the run has.", low=0
    )
    architecture: str | None = option(
        None, "Published architecture in place of a pattern, such as griffin."
    )
    scale: str | None = option(
        None, "Size of model and training at once: nano, tiny, small or base."
    )
    track: tuple[Literal["tensorboard", "wandb"], ...] | None = option(
        None, "Also show the curves in tensorboard, wandb (offline), or both."
    )
    verbose: bool = option(False, "Also show what libraries log and warn of.")


def define() -> None:
    """Declares the flags."""
    flags.define(Options)
    flags.define_run()


def run() -> int:
    """Trains, or resumes; returns the exit code of the run."""
    options = flags.given(Options)
    if not options.out:
        raise BadInput("--out is missing; it must be the directory of the run")
    config, population = flags.given_run()
    config, population = presets.of_run(options, config, population)
    presets.say(options)
    if config.init.path is None:
        names = ["init.member", "init.step", "init.digest"]
        flags.unused(names, "without --init_from")
    if options.pretrain is None:
        flags.unused(["pretrain_steps"], "without --pretrain")
    given = {**layout.began(options.out), **os.environ}
    own = slots.divide(1, slots.cores(), slots.gpus(os.environ))[0]
    devices = mesh.size(config.train.mesh)
    os.environ.update(slots.environment(own, population.size, given, mesh=devices))
    commands.plug()
    from attn_research import loop
    from attn_research.launch import pretraining
    from attn_research.studies.tracking import following

    inexact = options.allow_inexact_resume
    with ExitStack() as tracked:
        pretrained = (
            [] if options.pretrain is None else [pretraining.place(options.out)]
        )
        for out in [options.out, *pretrained]:
            tracked.enter_context(following(out, options.track or ()))
        if options.pretrain is None:
            return loop.run(
                config, population, options.out, allow_inexact_resume=inexact
            )
        return pretraining.run(
            config,
            population,
            options.out,
            options.pretrain,
            steps=options.pretrain_steps,
            allow_inexact_resume=inexact,
        )
