"""Checkpoints that are never half written and never loaded damaged.

`Writer` saves and resumes a run; `read`, `steps` and `load` only look.
"""

from attn_research.checkpoint.reader import read, steps
from attn_research.checkpoint.restored import Restored, load
from attn_research.checkpoint.writer import Writer

__all__ = ["Restored", "Writer", "load", "read", "steps"]
