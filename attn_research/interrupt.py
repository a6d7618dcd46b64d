"""Signals that ask a run to stop: heard at once, obeyed at the next safe boundary."""

import signal
from types import FrameType
from typing import Any

ASKING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


class Interrupt:
    """Within it, TERM, USR1 and USR2 set `asked` to their name instead of killing."""

    def __init__(self) -> None:
        self.asked: str | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Interrupt":
        self._before = {s: signal.signal(s, self._hear) for s in ASKING}
        return self

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.asked = signal.Signals(number).name

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
