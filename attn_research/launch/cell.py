"""One cell in a process of its own: `python -m attn_research.launch.cell DIRECTORY`.

Runs what config.json says and ends with the exit code of the run. A failure is written
into error.json by its kind, so that the launcher, the status and the report can tell.
"""

import ctypes
import errno
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from attn_research import layout
from attn_research.durable import Busy, DiskError
from attn_research.flags import BAD_INPUT, DISK, INTERNAL, REQUEUE
from attn_research.options import BadInput

INEXACT = "--allow_inexact_resume"
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)


def die_with(parent: int) -> None:
    """Asks the kernel to send TERM, which checkpoints, when the launcher is gone."""
    if sys.platform == "linux":
        PR_SET_PDEATHSIG = 1
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it went before the kernel was asked
        sys.exit(REQUEUE)


def classify(error: BaseException) -> tuple[layout.ErrorKind, int]:
    """The kind of a failure and its exit code."""
    from attn_research.memory import MemoryRefused

    if isinstance(error, MemoryRefused):
        return "memory_refused", BAD_INPUT
    if isinstance(error, BadInput):
        return "bad_input", BAD_INPUT
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        return "oom", INTERNAL
    if isinstance(error, DiskError) or (
        isinstance(error, OSError) and error.errno in _DISK
    ):
        return "disk", DISK
    return "internal", INTERNAL


def sentence(error: BaseException) -> str:
    """The first line of an error, with its type where it is no user's mistake."""
    said = str(error).strip().splitlines()
    first = said[0] if said else "no reason given"
    if isinstance(error, (BadInput, DiskError)):
        return first
    return f"{type(error).__name__}: {first}"


def guard(directory: Path, run: Callable[[], int]) -> int:
    """The exit code of `run`; a failure is recorded in the directory."""
    try:
        return run()
    except Busy as error:  # the directory is another's: nothing is written there
        print(f"Error: {error}", file=sys.stderr)
        return REQUEUE
    except Exception as error:
        kind, code = classify(error)
        if kind == "internal":
            traceback.print_exc()
        else:
            print(f"Error: {sentence(error)}", file=sys.stderr)
        try:
            layout.write_error(
                directory, kind, sentence(error), code, host=socket.gethostname()
            )
        except OSError as more:  # a full disk: the exit code still tells
            print(f"Error: {more}", file=sys.stderr)
        return code


def main(argv: list[str]) -> int:
    """Runs the cell in `argv[1]`, started by the process `argv[2]`."""
    directory = Path(argv[1])
    die_with(int(argv[2]))

    def run() -> int:
        from attn_research import train

        found = layout.read_config(directory)
        return train.run(
            found.config,
            found.population,
            directory,
            allow_inexact_resume=INEXACT in argv[3:],
        )

    return guard(directory, run)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
