"""How the process of a cell ended, from its exit code and what it left behind."""

import signal
from pathlib import Path
from typing import Literal, NamedTuple

from attn_research import layout
from attn_research.durable import Damaged
from attn_research.flags import DISK, DIVERGED, DONE, INTERNAL, REQUEUE

LOG = "log.txt"
STOPS = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
)


class Ending(NamedTuple):
    """The outcome in words; `kind` and `exit` where error.json is to be written."""

    outcome: Literal["done", "stopped", "failed"]
    message: str
    kind: layout.ErrorKind | None = None
    exit: int = 0


def judge(code: int, folder: Path) -> Ending:
    """What the exit code of a cell (minus a signal's number) means."""
    if code in (DONE, DIVERGED):
        return _finished(code, folder)
    if code == REQUEUE:
        return Ending("stopped", "it was asked to stop")
    if code < 0:
        return _signalled(-code)
    try:
        error = layout.read_error(folder)
    except Damaged:
        error = None
    if error and error.get("exit") == code:  # the cell has told it itself
        return Ending("failed", f"{error['kind']}: {error['message']}")
    kind = "disk" if code == DISK else "internal"
    message = f"it ended with code {code}{_last_words(folder / LOG)}"
    return Ending("failed", message, kind, code)


def _finished(code: int, folder: Path) -> Ending:
    try:
        if layout.read_result(folder) is not None:
            diverged = code == DIVERGED
            return Ending("done", "every member diverged" if diverged else "done")
        message = f"it ended with code {code} and left no result"
    except Damaged as damage:
        message = str(damage)
    return Ending("failed", message, "internal", INTERNAL)


def _signalled(number: int) -> Ending:
    name = signal.Signals(number).name
    if number == signal.SIGKILL:
        message = "the kernel killed it, most likely for want of memory"
        return Ending("failed", message, "oom_killed", INTERNAL)
    if number in STOPS:
        return Ending("stopped", name, "killed", REQUEUE)
    return Ending("failed", f"it crashed with {name}", "internal", INTERNAL)


def _last_words(log: Path) -> str:
    """The last line that a process wrote, where its output is kept."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, log.stat().st_size - 2000))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    said = [line.strip() for line in lines if line.strip()]
    return f" ({said[-1][:200]})" if said else ""
