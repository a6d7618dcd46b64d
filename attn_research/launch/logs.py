"""The log of a cell, shown as it grows."""

import re
from pathlib import Path

EVALUATION = re.compile(r"  step \d+/\d+  ")  # a line of `host.progress`
FAILURE = "Error: "  # how a process begins the sentence on why it failed


class Tail:
    """The lines that a process adds to a file from now on."""

    def __init__(self, path: Path):
        self.path = path
        self._at = path.stat().st_size if path.exists() else 0
        self._begun = b""

    def lines(self) -> list[str]:
        """The whole lines since the last call.

        Without the sentence on why the process failed: who reads its exit code says so.
        """
        try:
            with open(self.path, "rb") as file:
                file.seek(self._at)
                new = file.read()
        except OSError:  # the cell itself fails if its disk does
            return []
        self._at += len(new)
        *whole, self._begun = (self._begun + new).split(b"\n")
        texts = [line.decode(errors="replace") for line in whole]
        return [text for text in texts if not text.startswith(FAILURE)]
