"""Training from Python, and what it leaves."""

import os
from pathlib import Path
from typing import Any, Literal, NamedTuple

from attn_research import checkpoint, loop
from attn_research.checkpoint import Restored
from attn_research.config import Config, Population
from attn_research.door.tables import Table, curves
from attn_research.host import exits, layout
from attn_research.options import BadInput
from attn_research.studies import scale as scales

ENDS: dict[int, Literal["done", "diverged", "stopped"]] = {
    exits.DONE: "done",
    exits.ALL_DIVERGED: "diverged",
    exits.REQUEUE: "stopped",
}


class Run(NamedTuple):
    """A training in its directory, and how it ended.

    `ended` is "done", "diverged" if every member diverged, or "stopped" by a signal
    after a checkpoint: the same call goes on there.
    """

    directory: Path
    ended: Literal["done", "diverged", "stopped"]

    @property
    def result(self) -> dict[str, Any]:
        """What was measured: `members` has the scores of each, `metric` the headline.

        Raises `BadInput` if the run was stopped before its end.
        """
        found = layout.read_result(self.directory)
        if found is None:
            raise BadInput(
                f"{self.directory} was stopped before its end; it must be trained to "
                "the end before it has a result"
            )
        return found

    @property
    def curves(self) -> Table:
        """The learning curves, a row for each value measured; see `curves`."""
        return curves(self.directory)

    def load(
        self, member: Literal["best"] | int = "best", step: int | None = None
    ) -> Restored:
        """The trained model of a `member` at a `step`; None: its newest checkpoint.

        Raises `BadInput` if the run has neither; see `load`.
        """
        return checkpoint.load(self.directory, member=member, step=step)


def scaled(
    config: Config, population: Population, scale: str
) -> tuple[Config, Population]:
    """The config and the population at a scale, "nano", "tiny", "small" or "base".

        config, population = ar.scaled(Config(task="recall"), Population(), "nano")

    As `--scale` does, it sets the width, the layers, the batch, the steps, the learning
    rate, and the heads of mixers that have several and give no number (the rule is in
    `attn_research.studies.scale`). What should be otherwise is changed afterwards.

    Raises `BadInput` if there is no such scale.
    """
    size = scales.scale(scale)
    return scales.config(config, size), scales.population(population, size)


def train(
    config: Config,
    population: Population,
    directory: str | os.PathLike[str],
    *,
    allow_inexact_resume: bool = False,
) -> Run:
    """Trains a population into a directory, or resumes it there, as `train.py` does.

        run = ar.train(Config(task="recall"), Population(seed=(0, 1)), "runs/first")
        run.result["members"][0]["test"]["accuracy"]
        restored = run.load(member="best")

    A run that is done already is not run again. `allow_inexact_resume` lets a run go on
    in another environment than it began in. SIGTERM and Ctrl-C end it after a
    checkpoint; call it in the main thread, which alone hears them.

    Raises `BadInput` before any work if the config does not fit its task, another run
    holds the directory, or the predicted memory is not available.
    """
    code = loop.run(
        config, population, directory, allow_inexact_resume=allow_inexact_resume
    )
    return Run(Path(directory), ENDS[code])
