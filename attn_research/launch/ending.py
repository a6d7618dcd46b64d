"""How the process of a cell ended, from its exit code and the files it left."""

import signal
import socket
from pathlib import Path
from typing import Literal, NamedTuple

from attn_research.host import layout
from attn_research.host.durable import Damaged
from attn_research.host.exits import ALL_DIVERGED, DISK, DONE, INTERNAL, REQUEUE
from attn_research.host.interrupt import ASKING


class Ending(NamedTuple):
    """The outcome in words; `kind` and `exit` if error.json is to be written."""

    outcome: Literal["done", "stopped", "failed", "killed"]
    message: str
    kind: layout.ErrorKind | None = None
    exit: int = 0


def write_down(folder: Path, ending: Ending) -> OSError | None:
    """Writes error.json of a cell, unless it has written it or there was no error.

    Returns the error of a disk that does not take it: the exit code tells still.
    """
    if ending.kind is None:
        return None
    try:
        layout.write_error(
            folder,
            ending.kind,
            ending.message,
            ending.exit,
            host=socket.gethostname(),
        )
    except OSError as error:
        return error
    return None


def judge(code: int, folder: Path, oom: bool = False) -> Ending:
    """What the exit code of a cell (minus a signal's number) means.

    `oom` says that meanwhile the kernel has killed a process for want of memory.
    Without it a killed cell is worth another try.
    """
    if code in (DONE, ALL_DIVERGED):
        return _finished(code, folder)
    if code == REQUEUE:
        return Ending("stopped", "it was asked to stop")
    if code < 0:
        return _signalled(-code, oom)
    try:
        error = layout.read_error(folder)
    except Damaged:
        error = None
    if error and error.get("exit") == code:  # the cell has reported it itself
        return Ending("failed", f"{error['kind']}: {error['message']}")
    words = _last_words(folder / layout.LOG)
    if code == DISK:  # without a line on why, the last one is of something else
        words = words if words.startswith(" (Error: ") else ""
    kind = "disk" if code == DISK else "internal"
    return Ending("failed", f"it ended with code {code}{words}", kind, code)


def _finished(code: int, folder: Path) -> Ending:
    try:
        if layout.read_result(folder) is not None:
            diverged = code == ALL_DIVERGED
            return Ending("done", "every member diverged" if diverged else "done")
        message = f"it ended with code {code} and left no result"
    except Damaged as damage:
        message = str(damage)
    return Ending("failed", message, "internal", INTERNAL)


def _signalled(number: int, oom: bool) -> Ending:
    name = signal.Signals(number).name
    if number == signal.SIGKILL and oom:
        message = "the kernel killed it because memory ran out"
        return Ending("failed", message, "oom_killed", INTERNAL)
    if number == signal.SIGKILL:
        return Ending("killed", "it was killed", "killed", INTERNAL)
    if number in ASKING:
        return Ending("stopped", name, "killed", REQUEUE)
    return Ending("failed", f"it crashed with {name}", "internal", INTERNAL)


def _last_words(log: Path) -> str:
    """The last line that a process wrote to its log, or an empty string."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, log.stat().st_size - 2000))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    words = [line.strip() for line in lines if line.strip()]
    return f" ({words[-1][:200]})" if words else ""
