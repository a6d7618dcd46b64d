"""Pretraining on a task's own text, then the task from there: two runs, one call."""

import os
from pathlib import Path

from attn_research import loop
from attn_research.config import Config, Population, Start, edit
from attn_research.host import exits
from attn_research.options import BadInput
from attn_research.tasks import resolve
from attn_research.tasks.parts import pretraining

SUFFIX = "-pretraining"


def place(directory: str | os.PathLike[str]) -> Path:
    """The directory of the pretraining of the run in `directory`."""
    return Path(directory).with_name(Path(directory).name + SUFFIX)


def run(
    config: Config,
    population: Population,
    directory: str | os.PathLike[str],
    kind: str,
    *,
    steps: int = 0,
    allow_inexact_resume: bool = False,
) -> int:
    """Trains a population from a trunk that was pretrained on the task's text.

    Pretraining uses the first seed and every learning rate, and hands on the member
    that is best in validation, after `steps` steps (0: as many as the task). It is a
    run of its own in `directory` + `SUFFIX`; both resume. Returns the exit code of the
    pretraining if it did not finish, else that of the run. Raises `BadInput` if the
    config starts from another run already.
    """
    if config.init.path:
        raise BadInput(
            "--init_from and --pretrain exclude each other; one must be left out"
        )
    first = place(directory)
    code = loop.run(
        edit(
            Config(model=config.model, train=config.train, init=Start()),
            {
                "task": pretraining.spec(resolve(config.task), kind),
                "train.steps": steps or config.train.steps,
                "train.distinct_batches": 0,
            },
        ),
        Population(population.seed[:1], population.lr, population.weight_decay),
        first,
        allow_inexact_resume=allow_inexact_resume,
    )
    if code != exits.DONE:
        return code
    return loop.run(
        edit(config, {"init.path": str(first)}),
        population,
        directory,
        allow_inexact_resume=allow_inexact_resume,
    )
