"""Files of a user as the tests write them, and what is understood of them."""

from pathlib import Path
from typing import NamedTuple

import pytest

from attn_research.options import BadInput
from attn_research.tasks.contract import SPLITS
from attn_research.tasks.data.own.asked import Asked
from attn_research.tasks.data.own.understood import Understood, understand

WORDS = ("apple", "pear", "plum", "fig")


class Seen(NamedTuple):
    """What is understood of a source, and the lines that say so."""

    found: Understood
    told: list[str]

    @property
    def lines(self) -> str:
        return "\n".join(self.told)

    def rows(self) -> list[dict]:
        """The examples of all splits."""
        return [row for split in SPLITS for row in self.found.splits[split]]

    def texts(self, split: str, feature: str = "text") -> set[str]:
        return {row[feature].decode() for row in self.found.splits[split]}  # type: ignore


def seen(source: Path, kind: str = "classification", **asked) -> Seen:
    told: list[str] = []
    return Seen(understand(Asked(source, kind, "mine", **asked), told.append), told)


def refused(words: str, source: Path, kind: str = "classification", **asked) -> None:
    """Asserts that a source is refused in one sentence with these words."""
    with pytest.raises(BadInput) as error:
        seen(source, kind, **asked)
    assert words in str(error.value), str(error.value)
    assert "must" in str(error.value)
    assert "\n" not in str(error.value)


def reviews(count: int = 40, first: int = 0) -> list[tuple[str, str]]:
    """Texts that all differ, and their classes."""
    return [
        (
            f"{WORDS[n % 4]} number {n} is {'good' if n % 2 else 'bad'}",
            "no yes".split()[n % 2],
        )
        for n in range(first, first + count)
    ]


def table(path: Path, rows, header=("text", "label"), separator=",", encoding="utf-8"):
    """Writes a table whose values need no quotes; returns its path."""
    lines = [separator.join(map(str, row)) for row in (header, *rows)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(("\n".join(lines) + "\n").encode(encoding))
    return path
