"""Judges mixers and tasks by the laws that those of the package are tested by.

    attn-research check mine --plugin=my_mixers.py
    attn-research check "mine(decay=0.9)" my_task --law=padding,step
    attn-research check --list

Each argument is a spec. A law that is broken is shown with the smallest case that
breaks it. Exit code 0: all laws are kept, 1: some are broken.
"""

from collections.abc import Sequence

from attn_research import commands, flags, plugins
from attn_research.host.exits import DONE, FAILED
from attn_research.options import BadInput, declared, option, unknown
from attn_research.options.specs import parse

TAKES, MANY = "mixer or task", True


@declared
class Options:
    """Which laws are asked."""

    law: tuple[str, ...] | None = option(
        None, "Laws of --list, with commas; default: all."
    )
    list: bool = option(False, "Print every law, then exit.")
    verbose: bool = option(False, "Also show what libraries log and warn of.")


def define() -> None:
    """Declares the flags."""
    flags.define(Options)


def run(*specs: str) -> int:
    """Prints the verdicts; returns the exit code."""
    options = flags.given(Options)
    if options.list:
        if specs:
            raise BadInput(f"--list judges nothing; {specs[0]} must be left out")
        flags.unused(["law", "plugin"], "with --list")
        return _list()
    if not specs and not flags.FLAGS.plugin:
        raise BadInput("0 arguments are given; there must be a mixer or a task")
    commands.plug()
    if not specs:
        raise BadInput(_brought(flags.FLAGS.plugin))
    from attn_research.modules import MIXERS
    from attn_research.tasks import TASKS
    from attn_research.testing import mixers, tasks

    names = [parse(spec)[0] for spec in specs]
    for name in names:
        if name not in MIXERS and name not in TASKS:
            raise unknown("mixer or task", name, [*MIXERS, *TASKS])
    code = DONE
    for spec, name in zip(specs, names, strict=True):
        room = mixers if name in MIXERS else tasks
        for verdict in room.judge(spec, options.law or ()):
            print(f"{spec}: {verdict}", flush=True)
            code = code if verdict.fault is None else FAILED
    return code


def _brought(given: Sequence[str]) -> str:
    """What the plugins that are given bring that could be judged."""
    brought = [
        name for plugin in plugins.load(given) for name in plugins.judged(plugin)
    ]
    names = ", ".join(brought) or "no mixer and no task"
    return (
        f"0 arguments are given and --plugin={','.join(given)}, which brings {names}; "
        "there must be a mixer or a task"
    )


def _list() -> int:
    from attn_research.testing import mixers, tasks

    for kind, room in (("mixer", mixers), ("task", tasks)):
        for name, sentence in room.sentences().items():
            print(f"{kind} {name:14} {sentence}")
    return DONE
