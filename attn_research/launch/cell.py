"""One cell in a process of its own: `python -m attn_research.launch.cell DIRECTORY`.

Runs what config.json says and ends with the exit code of the run. A failure is written
into error.json with its kind, for the launcher, the status and the report.
"""

import ctypes
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from attn_research import plugins
from attn_research.host import layout, streams
from attn_research.host.durable import Busy
from attn_research.host.exits import REQUEUE, sentence, tell
from attn_research.host.interrupt import listen

INEXACT, PLUGIN, TRACK = "--allow_inexact_resume", "--plugin=", "--track="


def die_with(parent: int) -> None:
    """Asks the kernel for TERM, on which a run checkpoints, if the launcher dies."""
    if sys.platform == "linux":
        PR_SET_PDEATHSIG = 1
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before the kernel was asked
        sys.exit(REQUEUE)


def guard(directory: Path, run: Callable[[], int]) -> int:
    """The exit code of `run`; a failure is recorded in the directory."""
    try:
        return run()
    except Busy as error:  # another process owns the directory: write nothing there
        print(f"Error: {error}", file=sys.stderr)
        return REQUEUE
    except Exception as error:
        kind, code = tell(error)
        with suppress(OSError):  # a full disk: the exit code still tells
            layout.write_error(
                directory, kind, sentence(error), code, host=socket.gethostname()
            )
        return code


def main(argv: list[str]) -> int:
    """Runs the cell in `argv[1]`, started by the process `argv[2]`."""
    listen()
    streams.install()
    directory = Path(argv[1])
    die_with(int(argv[2]))

    def run() -> int:
        from attn_research import loop
        from attn_research.studies.tracking import following

        def named(flag: str) -> list[str]:
            return [arg.removeprefix(flag) for arg in argv[3:] if arg.startswith(flag)]

        found = layout.read_config(directory)
        plugins.require(found.plugins, str(directory), named(PLUGIN))
        with following(directory, named(TRACK)):
            return loop.run(
                found.config,
                found.population,
                directory,
                allow_inexact_resume=INEXACT in argv[3:],
            )

    return streams.finish(guard(directory, run))


if __name__ == "__main__":
    sys.exit(main(sys.argv))
