"""What lies in the directory of a cell, or one sentence on why it cannot be read."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from attn_research.host import layout
from attn_research.host.disk import refusal
from attn_research.host.durable import Damaged, DiskError, check_name
from attn_research.host.exits import REQUEUE
from attn_research.host.journal import stream_journal
from attn_research.host.layout import CELLS
from attn_research.host.lock import owner
from attn_research.studies import plateau

State = Literal[
    "done", "running", "failed", "waiting", "stopped", "damaged", "unreadable"
]
# What may be wrong with a cell: its files differ from what was written, the disk does
# not read them, or a value is of another kind than was written.
FAULTS = (OSError, AttributeError, IndexError, KeyError, TypeError, ValueError)


class Seen(NamedTuple):
    """A cell as it lies there: what it runs, its state and why, its result."""

    id: str
    run: layout.Run | None
    state: State
    message: str
    result: dict[str, Any] | None = None


def place(directory: str | os.PathLike[str], id: str) -> Path:
    """The directory of a cell."""
    return Path(directory) / CELLS / check_name(id, "The id of a cell")


def read_cell(directory: str | os.PathLike[str], id: str) -> layout.Run:
    """What a cell runs; raises `Damaged` if its content does not match its id."""
    path = place(directory, id) / layout.CONFIG
    run = layout.read_config(path.parent)
    if run.id != id:
        raise Damaged(f"{path} is damaged (its content does not match the cell's id)")
    return run


def see(directory: str | os.PathLike[str], id: str) -> Seen:
    """Reads each file of a cell once."""
    folder, run = place(directory, id), None
    try:
        run = read_cell(directory, id)
        result = layout.read_result(folder)
        if result is not None:
            return Seen(id, run, "done", "", result)
        holder = owner(folder / layout.CHECKPOINTS)
        if holder is not None:
            who = f"process {holder.get('pid')} on {holder.get('host')}"
            return Seen(id, run, "running", who)
        error = layout.read_error(folder)
        started = (folder / layout.CHECKPOINTS).exists() or error is not None
    except (Damaged, OSError) as refused:
        return Seen(id, run, *fault(folder, refused))
    asked_to_stop = error is not None and error.get("exit") == REQUEUE
    if error is not None and not asked_to_stop:
        return Seen(id, run, "failed", f"{error['kind']}: {error['message']}")
    return Seen(id, run, "stopped" if started else "waiting", "")


def fault(folder: Path, error: Exception) -> tuple[State, str]:
    """The state of a cell in which one of `FAULTS` was met, and one sentence on it.

    Raises an error of the system again that says nothing of the cell.
    """
    if isinstance(error, Damaged):
        return "damaged", str(error)
    if not isinstance(error, OSError):
        reason = f"{type(error).__name__}: {error}"
        words = f"a file of it holds another kind: {reason}"
        return "damaged", f"{folder} is damaged ({words})"
    number = refusal(error)
    if number is None:
        raise error
    if isinstance(error, DiskError):  # whose sentence names the file
        return "unreadable", str(error)
    return "unreadable", f"{error.filename or folder} cannot be read " + (
        f"({os.strerror(number)})"
    )


def last_evaluations(
    folder: Path, result: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], tuple[State, str] | None]:
    """Two evaluations of each member of a finished cell, and what is wrong with it.

    They are those of `plateau.ends`; [] if the log is damaged or not read: the cell
    remains finished.
    """
    steps = {member["member"]: member["step"] for member in result["members"]}
    try:
        records = stream_journal(folder / layout.METRICS, result.get("log"))
        return plateau.ends(records, steps), None
    except (Damaged, OSError) as error:
        return [], fault(folder, error)
