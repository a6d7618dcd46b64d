"""One cell as a job of SLURM: `python -m attn_research.launch.job STUDY FILE GRACE`.

Task i of an array runs the cell on line i of FILE, as a sweep of one worker would. When
SLURM's time limit is near it sends USR1: the cell checkpoints and the job queues itself
again, as it does for any request to stop.
"""

import os
import signal
import subprocess
import sys
from types import FrameType

from attn_research.host import exits, layout, slots, streams
from attn_research.host.interrupt import heard

TRIES = 3  # starts of a job without a step saved between them


def main(argv: list[str]) -> int:
    """Runs the cell of this task; returns the exit code of the job."""
    directory, file, grace, *more = argv[1:]
    for number in heard():
        signal.signal(number, _asked)
    streams.install()
    from attn_research.launch import local, slurm
    from attn_research.launch.command import cell_command
    from attn_research.studies import store

    id = slurm.cell(file, int(os.environ["SLURM_ARRAY_TASK_ID"]))
    folder = store.place(directory, id)
    before = layout.saved(folder)
    with slots.claimed(_cores()):
        code = local.run(
            directory,
            [id],
            command=cell_command(more=more),
            grace=float(grace),
            verbose=streams.VERBOSE in more,
        )
    for number in heard():  # it has ended: a signal now would say something else
        signal.signal(number, signal.SIG_IGN)
    if code != exits.REQUEUE:
        return code
    if store.state(directory, id)[0] == "running":  # said by `local.run`
        return exits.DONE
    if layout.saved(folder) == before and _starts() >= TRIES:
        message = (
            f"{_starts()} jobs in a row ended before a checkpoint; the time limit must "
            "be longer"
        )
        print(f"Error: {message}", file=sys.stderr)
        layout.write_error(folder, "killed", message, exits.FAILED)
        return exits.FAILED
    again()
    return exits.REQUEUE


def again() -> None:
    """Queues this job again; if SLURM refuses, the exit code 75 may still do it."""
    array, task = (os.environ[f"SLURM_ARRAY_{name}_ID"] for name in ("JOB", "TASK"))
    try:
        subprocess.run(["scontrol", "requeue", f"{array}_{task}"], check=False)
    except OSError as error:
        print(f"scontrol could not be started: {error}", file=sys.stderr)


def _asked(number: int, frame: FrameType | None) -> None:
    """Heard before the cell has begun."""
    again()
    os._exit(exits.REQUEUE)


def _starts() -> int:
    return 1 + int(os.environ.get("SLURM_RESTART_COUNT") or 0)


def _cores() -> int:
    """The cores that SLURM has given to this job."""
    return int(os.environ.get("SLURM_CPUS_PER_TASK") or 1)


if __name__ == "__main__":
    sys.exit(streams.finish(main(sys.argv)))
