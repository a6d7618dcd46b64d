"""What a user asks for when preparing a set of their own."""

import re
from pathlib import Path
from typing import NamedTuple

from attn_research.tasks.contract import Split

# How files, folders and columns of splits are called, in lower case.
SPLIT_WORDS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}


def split_word(stem: str) -> Split | None:
    """The split that a file's name begins with, None for any other name."""
    return SPLIT_WORDS.get(re.split("[-_.]", stem.lower())[0])


class Asked(NamedTuple):
    """A file or folder, and how it is to be read.

    `columns` maps roles to columns, as text=review; `split` and `group` name columns;
    `length` is the number of bytes (or samples) that a model will read; `size` is
    HEIGHTxWIDTH of images; `dates` is a format of strptime.
    """

    source: Path
    kind: str
    name: str
    columns: str = ""
    split: str = ""
    group: str = ""
    gaps: str = "refuse"
    dates: str = ""
    size: str = ""
    length: int = 1024
    drop_missing: bool = False
