"""Cells run on this machine, a process for each, `workers` at a time.

A cell that fails is recorded and the rest go on; a finished one is skipped, a killed
one resumes, one that another process is writing is left to it. A request to stop is
handed on to the processes, which checkpoint and end.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import IO, NamedTuple

from attn_research import layout, store
from attn_research.flags import DONE, INTERNAL, REQUEUE
from attn_research.launch import slots
from attn_research.launch.cell import INEXACT
from attn_research.launch.ending import LOG, Ending, judge
from attn_research.lock import owner

FAILED = 1
ASKING = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2)
TICK = 0.05  # seconds between looks at the processes

Command = Callable[[Path], list[str]]


class Child(NamedTuple):
    """A cell that is running."""

    id: str
    process: subprocess.Popen
    slot: slots.Slot
    log: IO[bytes] | None
    began: float


def cell_command(allow_inexact_resume: bool = False) -> Command:
    """The command of a cell: `python -m attn_research.launch.cell`."""
    module = [sys.executable, "-m", "attn_research.launch.cell"]
    more = [INEXACT] if allow_inexact_resume else []
    return lambda folder: [*module, str(folder), str(os.getpid()), *more]


class _Asked:
    """Within it, the first request to stop is noted, the second counts as urgent."""

    def __init__(self) -> None:
        self.times = 0
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> "_Asked":
        self._before = {s: signal.signal(s, self._hear) for s in ASKING}
        return self

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.times += 1

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore


def run(
    directory: str | os.PathLike[str],
    ids: Sequence[str],
    *,
    workers: int = 1,
    command: Command | None = None,
    grace: float = 60.0,
    report: Callable[[str], None] = print,
) -> int:
    """Runs the cells that are not done; returns the exit code of the sweep.

    0: all are done. 1: some failed or are damaged. 75: stopped, or some are with
    another process; the same command goes on. A process that is asked to stop gets
    `grace` seconds for its checkpoint before it is killed.
    """
    launcher = _Launcher(
        Path(directory), list(ids), command or cell_command(), grace, report
    )
    free = slots.divide(workers, slots.cores(), slots.gpus(os.environ))
    with _Asked() as asked:
        return launcher.loop(free, asked)


class _Launcher:
    """The state of one sweep: what waits, what runs, what came of the rest."""

    def __init__(
        self,
        directory: Path,
        ids: list[str],
        command: Command,
        grace: float,
        report: Callable[[str], None],
    ):
        self.directory, self.ids, self.command = directory, ids, command
        self.grace, self.report = grace, report
        self.waiting = deque(ids)
        self.busy: deque[str] = deque()
        self.running: list[Child] = []
        self.failed: set[str] = set()
        self.left: set[str] = set()
        self.stopping: float | None = None  # when the first request to stop came
        self.killed = False

    def loop(self, free: list[slots.Slot], asked: _Asked) -> int:
        quiet = len(free) > 1
        patience = time.monotonic() + self.grace
        while self.waiting or self.running or self.busy:
            if asked.times:
                self._stop(urgent=asked.times > 1)
            while free and self.waiting and self.stopping is None:
                id = self.waiting.popleft()
                if self._wanted(id):
                    self._try(id, free, quiet)
            for child in [c for c in self.running if c.process.poll() is not None]:
                self.running.remove(child)
                free.append(child.slot)
                self._ended(child)
                patience = time.monotonic() + self.grace
            if not self.running and not self.waiting and self.busy:
                self._wait_for_others(patience)
            time.sleep(TICK if self.running or self.busy else 0)
        if self.failed:
            return FAILED
        return REQUEUE if self.stopping is not None or self.left else DONE

    def _name(self, id: str) -> str:
        return f"[{self.ids.index(id) + 1}/{len(self.ids)}] {id}"

    def _wanted(self, id: str) -> bool:
        """Whether a cell is to be started now; says why where it is not."""
        state, message = store.state(self.directory, id)
        if state == "done":
            return False
        if state == "damaged":
            self._fail(id, message)
            return False
        if state == "running":
            self.busy.append(id)
            return False
        error = layout.read_error(store.place(self.directory, id))
        if error and error["kind"] in ("oom", "oom_killed"):
            if error.get("host") == socket.gethostname():
                where = store.place(self.directory, id) / layout.ERROR
                self._fail(id, f"{message}; not tried again here until {where} is gone")
                return False
        return True

    def _fail(self, id: str, message: str) -> None:
        self.failed.add(id)
        self.report(f"{self._name(id)} failed: {message}")

    def _try(self, id: str, free: list[slots.Slot], quiet: bool) -> None:
        """Starts a cell in the first free slot, which stays free where that fails."""
        try:
            self.running.append(self._start(id, free[0], quiet))
        except OSError as error:
            message = f"it could not be started ({error})"
            self._failed(id, Ending("failed", message, "internal", INTERNAL))
        else:
            free.pop(0)

    def _start(self, id: str, slot: slots.Slot, quiet: bool) -> Child:
        folder = store.place(self.directory, id)
        (folder / layout.ERROR).unlink(missing_ok=True)
        run = store.read_cell(self.directory, id)
        environment = slots.environment(
            slot,
            layout.members(run.population),
            os.environ,
            one_device=run.config.train.execution == "vmap",
        )
        log = open(folder / LOG, "ab") if quiet else None
        with slots.confined(slot):
            process = subprocess.Popen(
                self.command(folder),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,  # a key press reaches the launcher alone
            )
        return Child(id, process, slot, log, time.monotonic())

    def _stop(self, urgent: bool) -> None:
        """Hands a request to stop on; kills what does not end within the grace."""
        if self.stopping is None:
            self.stopping = time.monotonic()
            self.waiting.clear()
            self.busy.clear()
            if self.running:
                self.report("Stopping: waiting for the checkpoints of the cells.")
            for child in self.running:
                child.process.send_signal(signal.SIGTERM)
        late = time.monotonic() - self.stopping > self.grace
        if (urgent or late) and not self.killed:
            self.killed = True
            for child in self.running:
                child.process.kill()

    def _wait_for_others(self, patience: float) -> None:
        """Takes over a cell that another process lets go of within the grace."""
        id = self.busy.popleft()
        holder = owner(store.place(self.directory, id) / layout.CHECKPOINTS)
        if holder is None:
            self.waiting.append(id)
        elif time.monotonic() < patience:
            self.busy.append(id)
        else:
            self.left.add(id)
            self.report(
                f"{self._name(id)} is being run by process {holder.get('pid')} on "
                f"{holder.get('host')}; it was left to it"
            )

    def _ended(self, child: Child) -> None:
        if child.log:
            child.log.close()
        code, folder = child.process.returncode, store.place(self.directory, child.id)
        ending = judge(code, folder)
        if self.stopping is not None and code < 0:  # our own doing
            ending = Ending("stopped", "it was asked to stop")
        if ending.outcome == "done":
            seconds = time.monotonic() - child.began
            self.report(f"{self._name(child.id)} {ending.message} in {seconds:.0f} s")
        elif ending.outcome == "failed":
            self._failed(child.id, ending)
        else:
            self._write_down(child.id, ending)
            state, _ = store.state(self.directory, child.id)
            if state in ("running", "done") and self.stopping is None:
                self.busy.append(child.id)  # another process was faster
            else:
                self.left.add(child.id)

    def _failed(self, id: str, ending: Ending) -> None:
        self._write_down(id, ending)
        kind = f"{ending.kind}: " if ending.kind else ""
        self._fail(id, f"{kind}{ending.message}")

    def _write_down(self, id: str, ending: Ending) -> None:
        """Writes error.json, unless the cell has done so or there is none."""
        folder, host = store.place(self.directory, id), socket.gethostname()
        if ending.kind is None:
            return
        try:
            layout.write_error(
                folder, ending.kind, ending.message, ending.exit, host=host
            )
        except OSError as error:
            self.report(f"Error: {error}")
