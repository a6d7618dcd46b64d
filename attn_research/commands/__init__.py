"""The console command `attn-research`, whose first argument names what is to be done.

    attn-research train --task=recall --model.pattern=dense --out=runs/first
    attn-research sweep --experiment=recall_distance --out=runs/recall
    attn-research report runs/recall

Each command is a module with its help as docstring, `define`, which declares its flags,
and `run`, which returns an exit code. `python scripts/NAME.py` is the same as
`attn-research NAME`, with the experiments beside the scripts instead of those of the
working directory or the nearest folder above it.
"""

import importlib
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from attn_research.host import streams
from attn_research.host.interrupt import listen
from attn_research.options import BadInput, unknown

# Each command and what it does, as the help says it.
COMMANDS = {
    "train": "Train one population: every combination of seeds and learning rates.",
    "sweep": "Run the cells of an experiment, each a population in its own process.",
    "report": "Write the page of a study, or a ledger of several.",
    "analyze": "Look inside trained models: attention, gradients, memory, spectra.",
    "track": "Show the curves of a run or a study in TensorBoard or wandb.",
    "export": "Write one trained model as one file.",
    "compile": "Compile training steps for hardware that is not here: does it fit?",
    "check": "Judge mixers and tasks, of a plugin's too, by the laws.",
    "prepare": "Prepare data sets from raw files.",
}


def script(name: str) -> NoReturn:
    """Runs a command with the arguments of this process; exits with its code.

    Signals are heard before the first import that takes time.
    """
    listen()
    streams.install()
    from attn_research import flags

    module = importlib.import_module(f"{__name__}.{name}")

    def define() -> None:
        module.define()
        if name != "prepare":
            flags.define_plugins()

    flags.main(
        module.run,
        module.__doc__,
        define=define,
        takes=module.TAKES,
        many=module.MANY,
    )


def main() -> NoReturn:
    """Runs the command that the first argument names; exits with its code."""
    streams.install()
    from attn_research.host import exits

    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("--help", "-h", "-help", "help"):
        print(_help())
        sys.exit(streams.finish(exits.DONE))
    if name == "--version":
        from attn_research.host import environment

        print(environment.code()["version"])
        sys.exit(streams.finish(exits.DONE))
    flag, _, shell = name.partition("=")
    if flag == "--completion":
        _complete(shell or " ".join(sys.argv[2:3]))
    if name not in COMMANDS:
        print(f"Error: {unknown('command', name, COMMANDS)}", file=sys.stderr)
        sys.exit(exits.BAD_INPUT)
    # Flags and messages see one program with one word more.
    sys.argv = [f"{sys.argv[0]} {name}", *sys.argv[2:]]
    script(name)


def _complete(shell: str) -> NoReturn:
    """Prints the completion script of a shell; exits."""
    from attn_research.commands import completion
    from attn_research.host import exits

    try:
        print(completion.script(shell, COMMANDS))
        code = exits.DONE
    except BadInput as error:
        _, code = exits.tell(error)
    sys.exit(streams.finish(code))


def _help() -> str:
    lines = [f"  {name:8} {sentence}" for name, sentence in COMMANDS.items()]
    return "\n".join(
        [
            "Usage: attn-research COMMAND [FLAGS]",
            "",
            *lines,
            "",
            "attn-research COMMAND --help lists the flags of a command.",
            "source <(attn-research --completion=bash) completes them (or zsh).",
        ]
    )


def plug(
    needed: Mapping[str, Mapping[str, str]] | None = None, where: str = ""
) -> None:
    """Loads the plugins of --plugin and the installed ones; `where` needs some.

    Raises `BadInput` if one of them is broken, or if one that is needed is not there.
    """
    from attn_research import flags, plugins

    names = [*plugins.installed(), *flags.FLAGS.plugin]
    if names or needed:
        # Their tables, so that a wrong entry is refused now.
        from attn_research import hypers, losses, modules, tasks  # noqa: F401
    plugins.load(names)
    plugins.require(needed or {}, where)


def called() -> list[str]:
    """The words that started this command, as a user can repeat them."""
    program = Path(sys.argv[0])
    if program.suffix == ".py":
        return ["python", f"{program.parent.name}/{program.name}"]
    name, *rest = program.name.split()
    return [name, *rest]


def experiments() -> Path:
    """The folder of experiments: beside that of the script, or where one works.

    One works in a folder that has `experiments`, or below it: the nearest counts.
    """
    program = Path(sys.argv[0]).resolve()
    beside = program.parent.parent / "experiments"
    if program.suffix == ".py" and beside.is_dir():
        return beside
    here = Path.cwd()
    above = [folder / "experiments" for folder in (here, *here.parents)]
    return next((folder for folder in above if folder.is_dir()), above[0])


def recorded(commands: Sequence[str]) -> str | None:
    """The file that the newest of a study's commands swept, None if it is not there."""
    for command in reversed(commands):
        try:
            words = shlex.split(command)
        except ValueError:  # no command of ours
            continue
        for word, after in zip(words, [*words[1:], ""], strict=True):
            flag, _, value = word.partition("=")
            if flag == "--experiment":
                path = value or after
                found = path.endswith(".py") and Path(path).expanduser().is_file()
                return path if found else None
    return None


def chosen(experiment: str | None) -> tuple[Path, str | None]:
    """The folder and the name of the experiment that a flag names.

    It is a name in `experiments()`, or the path of a Python file anywhere.
    """
    if experiment is None or not experiment.endswith(".py"):
        return experiments(), experiment
    path = Path(experiment).expanduser().resolve()
    if not path.is_file():
        raise BadInput(
            f"--experiment is {experiment}, which is not there; it must be a Python "
            "file with STUDIES, or the name of an experiment"
        )
    return path.parent, path.stem
