"""Sweeps on a cluster that SLURM manages: an array of jobs, one for each cell left.

    DIR/slurm/N.txt       the cells of the N-th submission, an id a line: task i of its
                          array runs the i-th, from 1 on
    DIR/slurm/job.sh      the script of the last submission
    DIR/slurm/A_I.log     what task I of the array A has said

A queued job names the file of its cells in its comment, so that SLURM alone knows what
is queued and nothing here can disagree with it. What a job does is in `job`.
"""

import os
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from attn_research.host.durable import atomic_write
from attn_research.host.lock import Lock
from attn_research.options import BadInput
from attn_research.studies import store

FOLDER, SCRIPT = "slurm", "job.sh"
LARGEST = 1000  # tasks of an array: clusters allow 1,001 unless configured otherwise
TRIES = 3  # submissions of a cell that fails in each
NOTICE = 30  # seconds beyond the grace period between SLURM's signal and its limit
FIELDS = "%F|%K|%T|%r|%k"  # array, task, state, reason, comment: see squeue
OURS = (
    *("array", "comment", "job-name", "open-mode", "output", "requeue", "no-requeue"),
    *("signal", "wrap", "a", "J", "o"),
)


class Task(NamedTuple):
    """A queued or running job of a cell, as `squeue` shows it."""

    job: str  # ARRAY_INDEX
    state: str
    reason: str


def find(name: str) -> str:
    """The path of a command of SLURM; raises `BadInput` if there is none."""
    path = shutil.which(name)
    if path is None:
        raise BadInput(
            f"There is no {name} on this machine; it must be one that has the commands "
            "of SLURM"
        )
    return path


def options(text: str) -> list[str]:
    """The options of sbatch in `--slurm`.

    Raises `BadInput` for what is no option, and for those that a submission sets.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise BadInput(
            f"--slurm is {text!r}; it must be options of sbatch ({error})"
        ) from None
    for word in words:
        name = word.lstrip("-").partition("=")[0]
        if not word.startswith("-") or not name:
            raise BadInput(
                f"--slurm has {word!r}; it must be options of sbatch, each as one word "
                "(--time=1:00:00)"
            )
        if name in OURS:
            raise BadInput(f"--slurm has {word!r}; it must be left to --submit")
    return words


class Request(NamedTuple):
    """How cells are to be queued.

    `name` is that of the study, `given` are the user's options of sbatch, `limit` is
    the number of jobs at once (0: all), `grace` are the seconds that a cell has for its
    checkpoint, `more` the flags of the cells' commands (see `command.more`).
    """

    name: str
    given: Sequence[str] = ()
    limit: int = 0
    grace: float = 60.0
    more: Sequence[str] = ()


def script(directory: Path, file: Path, tasks: int, request: Request) -> str:
    """The script of an array of `tasks` jobs, which run the cells in `file`.

    SLURM sends USR1 before the time limit, early enough for a checkpoint.
    """
    ours = [
        f"--job-name={request.name}",
        f"--array=1-{tasks}" + (f"%{request.limit}" if request.limit else ""),
        f"--output={directory / FOLDER / '%A_%a.log'}",
        "--open-mode=append",
        "--requeue",
        f"--signal=B:USR1@{round(request.grace) + NOTICE}",
        f"--comment={file}",
    ]
    lines = [f"#SBATCH {_quoted(one)}" for one in [*ours, *request.given]]
    package = shlex.quote(str(Path(__file__).parents[2]))
    job = [sys.executable, "-m", "attn_research.launch.job", str(directory), str(file)]
    command = [*job, str(request.grace), *request.more]
    return "\n".join(
        [
            "#!/bin/bash",
            *lines,
            f"export PYTHONPATH={package}${{PYTHONPATH:+:$PYTHONPATH}}",
            f"exec {shlex.join(command)}",
            "",
        ]
    )


def _quoted(option: str) -> str:
    """An option in a line of a script, where sbatch knows double quotes."""
    name, equals, value = option.partition("=")
    return f'{name}{equals}"{value}"' if any(map(str.isspace, value)) else option


def preview(
    directory: str | os.PathLike[str], ids: Sequence[str], request: Request
) -> str:
    """The script that `submit` would write if nothing of the study were done."""
    directory = Path(directory).absolute()
    return script(directory, _next(directory / FOLDER), len(ids), request)


def submit(
    directory: str | os.PathLike[str], ids: Sequence[str], request: Request
) -> str:
    """Submits the cells that are neither done, nor queued, nor running; says which.

    A cell that has failed in `TRIES` submissions is left out. Raises `BadInput` if
    there is no sbatch, or if it refuses.
    """
    directory = Path(directory).absolute()
    folder = directory / FOLDER
    told: list[str] = []
    with Lock(folder, patience=30.0):
        waiting, counts = _left(directory, ids, told)
        for first in range(0, len(waiting), LARGEST):
            part, file = waiting[first : first + LARGEST], _next(folder)
            atomic_write(file, "".join(f"{id}\n" for id in part))
            atomic_write(folder / SCRIPT, script(directory, file, len(part), request))
            try:
                job = _slurm("sbatch", "--parsable", str(folder / SCRIPT))
            except BadInput:
                file.unlink()
                raise
            told.append(f"Job {job.strip().partition(';')[0]}: {len(part)} cells.")
    told += ["Nothing was submitted."] * (not waiting)
    others = ", ".join(f"{count} {state}" for state, count in counts.items())
    return "\n".join([*told, *([f"Of the others {others}."] if others else [])])


def _left(
    directory: Path, ids: Sequence[str], told: list[str]
) -> tuple[list[str], Counter[str]]:
    """The cells to submit, and how many others there are in each state.

    What must be said of a cell that is left out is added to `told`.
    """
    taken = queue(directory)
    tried = Counter(
        id for file in _submissions(directory / FOLDER) for id in _cells(file)
    )
    waiting, counts = [], Counter()
    for id in dict.fromkeys(ids):
        state, message = store.state(directory, id)
        if id in taken:
            counts["queued"] += 1
        elif state in ("done", "running", "damaged", "unreadable"):
            counts[state] += 1
        elif state == "failed" and tried[id] >= TRIES:
            counts[state] += 1
            told.append(
                f"{id} has failed in {tried[id]} submissions ({message}); it is not "
                f"submitted again until {store.place(directory, id) / 'error.json'} is "
                "deleted"
            )
        else:
            waiting.append(id)
    return waiting, counts


def queue(directory: str | os.PathLike[str]) -> dict[str, Task]:
    """The cells of a study that are queued or run, by their ids.

    Raises `BadInput` if there is no squeue, or if it fails.
    """
    folder = Path(directory).absolute() / FOLDER
    if not _submissions(folder):
        return {}
    user = f"--user={os.getuid()}"
    found: dict[str, Task] = {}
    listed = _slurm("squeue", "--noheader", "--array", user, f"--format={FIELDS}")
    for line in listed.splitlines():
        array, index, state, reason, comment = (line.strip().split("|", 4) + [""] * 5)[
            :5
        ]
        file = Path(comment)
        if file.parent != folder or not index.isdecimal():
            continue
        cells = _cells(file)
        if 1 <= int(index) <= len(cells):
            found[cells[int(index) - 1]] = Task(f"{array}_{index}", state, reason)
    return found


def cancel(directory: str | os.PathLike[str]) -> str:
    """Takes every job of a study out of the queue; says how many there were."""
    taken = queue(directory)
    if taken:
        _slurm("scancel", *(task.job for task in taken.values()))
    return f"{len(taken)} jobs were cancelled; --submit=slurm goes on."


def words(tasks: Mapping[str, Task]) -> dict[str, str]:
    """What a table says of queued cells: `pending (Resources)`."""
    return {
        id: task.state.lower()
        + (f" ({task.reason})" if task.reason not in ("", "None") else "")
        for id, task in tasks.items()
    }


def cell(file: str | os.PathLike[str], index: int) -> str:
    """The id of the cell that task `index` of an array runs, from 1 on."""
    return _cells(Path(file))[index - 1]


def _cells(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except FileNotFoundError:
        return []


def _next(folder: Path) -> Path:
    """The file of the next submission."""
    last = max((int(file.stem) for file in _submissions(folder)), default=0)
    return folder / f"{last + 1}.txt"


def _submissions(folder: Path) -> list[Path]:
    """The files of the submissions of a study."""
    return [file for file in folder.glob("*.txt") if file.stem.isdecimal()]


def _slurm(name: str, *arguments: str) -> str:
    """What a command of SLURM prints; raises `BadInput` if it refuses."""
    done = subprocess.run(
        [find(name), *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = " ".join((done.stderr or done.stdout).split()) or "it said nothing"
        raise BadInput(
            f"{name} has refused (code {done.returncode}): {said}; --slurm must be "
            "what the cluster takes"
        )
    return done.stdout
