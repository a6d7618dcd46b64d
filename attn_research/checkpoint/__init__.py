"""Checkpoints that are never half written and never loaded damaged.

`Writer` saves and resumes a run; `read`, `steps`, `load` and `describe` are read-only.
"""

from attn_research.checkpoint.reader import read, steps
from attn_research.checkpoint.restored import (
    Described,
    Restored,
    check_data,
    describe,
    load,
)
from attn_research.checkpoint.writer import Writer

__all__ = [
    "Described",
    "Restored",
    "Writer",
    "check_data",
    "describe",
    "load",
    "read",
    "steps",
]
