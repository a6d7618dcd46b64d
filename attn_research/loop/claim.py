"""The claim of a run on its directory, and what it writes there before its first step.

A directory holds one run. What it began with (config, population, data, log) is what it
goes on with, or it is refused in a sentence.
"""

import dataclasses
from pathlib import Path
from typing import Any

from attn_research import flags, tasks, trees
from attn_research.config import Config, Population
from attn_research.host import exits, layout
from attn_research.host.durable import Damaged, atomic_write, check_name
from attn_research.host.journal import Journal
from attn_research.modules import models
from attn_research.options import BadInput
from attn_research.tasks.parts import windows
from attn_research.training import outcome, program
from attn_research.transfer import start


def resolved(directory: Path, config: Config, population: Population) -> Config:
    """The resolved config, once it is sure that it may run in this directory."""
    for value, kind in ((config, Config), (population, Population)):
        if not isinstance(value, kind):
            raise BadInput(f"{value!r} is given; it must be a {kind.__name__}")
    if directory.exists() and not directory.is_dir():
        raise BadInput(f"{directory} is a file; it must be a directory")
    population.check()
    config = program.resolve(_as_begun(directory, config))
    _claim(directory, config, population)
    if config.init.path is not None and not _begun(directory):
        sizes = program.sizes(tasks.make(config.task))
        start.check(config, models.build(config.model, sizes))
    return config


def ended(directory: Path, config: Config) -> int | None:
    """The exit code of a run that is done already, None if it is not.

    What is said of it includes that its data have changed since, or cannot be read.
    """
    done = layout.read_result(directory)
    if done is None:
        return None
    words = f"{directory} is done already; nothing was run.{_since(directory, config)}"
    print(words, flush=True)
    diverged = outcome.all_diverged(done["members"])
    return exits.ALL_DIVERGED if diverged else exits.DONE


def _since(directory: Path, config: Config) -> str:
    """What has become of the data of a run that is done, "" if they are the same."""
    there = layout.read_config(directory).data
    try:
        data = trees.digest(windows.content(tasks.make(config.task)))
    except (BadInput, Damaged, OSError) as error:
        return f" Its data are not there to be compared ({error})."
    if there in ("", data):  # by the version that began it
        return ""
    return (
        " Its data have changed since: the result is of those it was trained on, and "
        "--out must be another directory to train on these."
    )


def _as_begun(directory: Path, config: Config) -> Config:
    """The config with the checkpoint that the run in this directory started from."""
    if not _begun(directory):
        return config
    there = layout.read_config(directory).config.init
    return dataclasses.replace(config, init=start.as_before(config.init, there))


def _begun(directory: Path) -> bool:
    """Whether a run has begun here, beyond a refusal before its first step."""
    return all((directory / n).exists() for n in (layout.CONFIG, layout.METRICS))


def _claim(directory: Path, config: Config, population: Population) -> None:
    """Refuses a directory that holds another run."""
    check_name(directory.name or "run", "The name of the run")
    if (directory / layout.CONFIG).exists():
        there = layout.read_config(directory)
        began = _but_mesh(program.resolve(there.config)), there.population
        if _begun(directory) and began != (_but_mesh(config), population):
            raise BadInput(
                f"{directory} holds another run; --out must be another directory, or "
                f"the flags the same (--flagfile={directory / layout.FLAGFILE})"
            )
    elif directory.exists() and layout.foreign(directory):
        raise BadInput(
            f"{directory} is not empty and holds no run; --out must be a new directory"
        )


def _but_mesh(config: Config) -> Config:
    """The config without its devices, which belong to the environment of a run.

    Nor does the way that its data take to them change what it computes.
    """
    return dataclasses.replace(
        config, train=dataclasses.replace(config.train, mesh=None, data="auto")
    )


def described(
    directory: Path,
    config: Config,
    population: Population,
    task: tasks.Task,
    arrays: Any,
) -> layout.Run:
    """What runs here, written down before it begins; refuses other data after that."""
    data = trees.digest(arrays)
    if _begun(directory):
        there = layout.read_config(directory)
        if there.data in ("", data):
            return there  # by the version that began it
        raise BadInput(
            f"The data of --task={config.task} differ from those that the run in "
            f"{directory} began with; they must be the same, or --out another directory"
        )
    sizes = program.sizes(task)._asdict()
    needed = program.plugged(config)
    layout.write_config(directory, config, population, sizes, data, needed)
    lines = [*flags.lines(config), *flags.lines(population)]
    lines += [f"--plugin={known['source']}" for known in needed.values()]
    atomic_write(directory / layout.FLAGFILE, "\n".join(lines) + "\n")
    return layout.read_config(directory)


def check_log(journal: Journal, found: tuple[int, Any, dict[str, Any]] | None) -> None:
    """Raises `Damaged` if the log up to a checkpoint is not the one of its run."""
    if found is not None and found[2].get("log", journal.seal) != journal.seal:
        raise Damaged(
            f"{journal.path} is damaged (it lacks evaluations before the checkpoint of "
            f"step {found[0]}); the run must start anew in another directory"
        )
