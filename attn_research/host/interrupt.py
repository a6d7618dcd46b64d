"""Signals that ask a command to stop: heard from its first line to its last.

`listen` ends a command with 75 while nothing of it is under way that a later start
would not do again. Inside `Interrupt` the first request is only noted, so that work is
brought to a safe boundary; the second one ends the command at once.
"""

import os
import signal
import sys
from types import FrameType
from typing import Any

ASKING = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
STOPPED = 75  # what `exits` calls REQUEUE


def heard() -> list[signal.Signals]:
    """The requests that this process listens to: nohup, say, has SIGHUP ignored."""
    return [one for one in ASKING if signal.getsignal(one) is not signal.SIG_IGN]


def listen() -> None:
    """From now on a request to stop ends this process with 75, in one sentence."""
    for number in heard():
        signal.signal(number, _end)


def _end(number: int, frame: FrameType | None) -> None:
    """Ends the process: an exception could be lost in a callback of a library."""
    name = signal.Signals(number).name
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, RuntimeError):  # gone, or being written to
            pass
    os.write(2, f"Stopped by {name}; the same command goes on.\n".encode())
    os._exit(STOPPED)


class Interrupt:
    """While it is entered, the first request to stop sets `asked`.

    A second one ends the process as `listen` does: what was acknowledged is safe.
    """

    def __init__(self) -> None:
        self.asked: str | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interrupt":
        self._before = {s: signal.signal(s, self._hear) for s in heard()}
        return self

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.asked is not None:
            _end(number, frame)
        self.asked = signal.Signals(number).name

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


class Requests:
    """Counts requests to stop while it is entered; the second one is urgent."""

    def __init__(self) -> None:
        self.times = 0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Requests":
        self._before = {s: signal.signal(s, self._hear) for s in heard()}
        return self

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.times += 1

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
