"""The command that runs a cell in a process of its own."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from attn_research import plugins
from attn_research.host.streams import VERBOSE
from attn_research.launch.cell import INEXACT, PLUGIN, TRACK

Command = Callable[[Path], list[str]]


def cell_command(
    allow_inexact_resume: bool = False, verbose: bool = False, track: Sequence[str] = ()
) -> Command:
    """The command of a cell: `python -m attn_research.launch.cell`.

    The cell loads the plugins of this process, and shows its curves in the sinks of
    `track`.
    """
    module = [sys.executable, "-m", "attn_research.launch.cell"]
    more = [INEXACT] * allow_inexact_resume + [VERBOSE] * verbose
    more += [f"{PLUGIN}{plugin.source}" for plugin in plugins.loaded()]
    more += [f"{TRACK}{name}" for name in track]
    return lambda folder: [*module, str(folder), str(os.getpid()), *more]
