"""Pretraining on the texts of a task, and the task from there: two runs, one call."""

import os
from pathlib import Path

from attn_research import flags, train
from attn_research.config import Config, Population, Start, replace
from attn_research.options import BadInput
from attn_research.tasks import pretraining, resolve

SUFFIX = "-pretraining"


def run(
    config: Config,
    members: Population,
    directory: str | os.PathLike[str],
    kind: str,
    *,
    steps: int = 0,
    allow_inexact_resume: bool = False,
) -> int:
    """Trains a population from a trunk that was pretrained on its texts.

    The pretraining has the first of the seeds and all of the rates, of which the best
    in validation is taken; `steps` of its own, 0 as many as the task. It is a run
    beside `directory`, which ends in `SUFFIX`; both resume. Returns the exit code of
    what was not done last.
    """
    if config.init.path:
        raise BadInput(
            f"--init_from is {config.init.path}, and a trunk is to be pretrained; give "
            "one of both"
        )
    first = Path(directory).with_name(Path(directory).name + SUFFIX)
    code = train.run(
        replace(
            Config(model=config.model, train=config.train, init=Start()),
            {
                "task": pretraining.spec(resolve(config.task), kind),
                "train.steps": steps or config.train.steps,
                "train.distinct_batches": 0,
            },
        ),
        Population(members.seed[:1], members.lr, members.weight_decay),
        first,
        allow_inexact_resume=allow_inexact_resume,
    )
    if code != flags.DONE:
        return code
    return train.run(
        replace(config, {"init.path": str(first)}),
        members,
        directory,
        allow_inexact_resume=allow_inexact_resume,
    )
