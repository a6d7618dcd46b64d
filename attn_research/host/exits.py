"""Exit codes of every command, and which kind of failure ends in which.

0    done
1    some cells of a sweep failed, or the disk did not read them for a report
3    every member of the population diverged
65   bad input: the specification, a flag or a file of the user's
70   internal error
74   the disk refused a write, or a read that all depends on
75   stopped after a checkpoint: the same command goes on
130  interrupted
"""

import os
import sys
import traceback

from attn_research.host import disk, streams
from attn_research.host.durable import DiskError
from attn_research.host.layout import ErrorKind
from attn_research.host.memory import MemoryRefused
from attn_research.options import BadInput

DONE, FAILED, ALL_DIVERGED = 0, 1, 3
BAD_INPUT, INTERNAL, DISK, REQUEUE = 65, 70, 74, 75
INTERRUPTED = 130
LONGEST = 2000  # characters of a sentence


def classify(error: BaseException) -> tuple[ErrorKind, int]:
    """The kind of a failure and its exit code."""
    if isinstance(error, MemoryRefused):
        return "memory_refused", BAD_INPUT
    if disk.refusal(error):
        return "disk", DISK
    if isinstance(error, BadInput):
        return "bad_input", BAD_INPUT
    if isinstance(error, OSError):
        return "disk", DISK
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        return "oom", INTERNAL
    return "internal", INTERNAL


def sentence(error: BaseException) -> str:
    """The first line of an error, with its type unless a user can act on it.

    Of what the disk refused, the sentence of whoever knew its number, or a plain one.
    A long value that it quotes is cut in the middle.
    """
    lines = str(error).strip().splitlines()
    first = lines[0] if lines else "no reason given"
    if len(first) > LONGEST:
        first = f"{first[: LONGEST // 2]} [...] {first[-LONGEST // 2 :]}"
    number = disk.refusal(error)
    if number is not None:
        own = isinstance(error, (BadInput, DiskError, streams.OutputRefused))
        known = own and os.strerror(number) in first
        return first if known else disk.sentence(error)
    if isinstance(error, (BadInput, OSError)):
        return first
    return f"{type(error).__name__}: {first}"


def tell(error: BaseException) -> tuple[ErrorKind, int]:
    """Says in one sentence why a command failed; returns the kind and the exit code.

    What nobody foresaw is shown whole, with what was held back, unless the disk refused
    something on another thread meanwhile.
    """
    kind, code = classify(error)
    number = streams.refused() if kind == "internal" else None
    if number is not None:
        kind, code = "disk", DISK
        text = f"A file could not be read or written ({os.strerror(number)})"
        error = DiskError(number, text)
    if kind == "internal":
        streams.show()
        traceback.print_exc()
    else:
        print(f"Error: {sentence(error)}", file=sys.stderr)
    return kind, code
