"""The command that runs a cell in a process of its own."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from attn_research import plugins
from attn_research.host.streams import VERBOSE
from attn_research.launch.cell import INEXACT, PLUGIN, TRACK

Command = Callable[[Path], list[str]]


def more(
    allow_inexact_resume: bool = False, verbose: bool = False, track: Sequence[str] = ()
) -> list[str]:
    """The flags of a cell: plugins as in this process, and the sinks of `track`."""
    flags = [INEXACT] * allow_inexact_resume + [VERBOSE] * verbose
    flags += [f"{PLUGIN}{plugin.source}" for plugin in plugins.loaded()]
    return flags + [f"{TRACK}{name}" for name in track]


def cell_command(more: Sequence[str] = ()) -> Command:
    """The command of a cell with these flags: `python -m attn_research.launch.cell`."""
    module = [sys.executable, "-m", "attn_research.launch.cell"]
    return lambda folder: [*module, str(folder), str(os.getpid()), *more]
