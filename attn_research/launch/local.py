"""Runs cells on this machine, each in its own process, `workers` in parallel.

A failed cell is recorded and the rest go on. Finished cells are skipped, killed ones
resume, cells that another process is writing are left to it. A request to stop is
passed on to the processes, which checkpoint and end.
"""

import os
import signal
import socket
import subprocess
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from attn_research.config import mesh
from attn_research.host import layout, slots
from attn_research.host.disk import refusal
from attn_research.host.exits import (
    DISK,
    DONE,
    FAILED,
    INTERNAL,
    REQUEUE,
    classify,
    sentence,
)
from attn_research.host.interrupt import Requests
from attn_research.host.lock import owner
from attn_research.host.memory import oom_kills
from attn_research.launch.command import Command, cell_command
from attn_research.launch.ending import Ending, judge, write_down
from attn_research.launch.logs import EVALUATION, Tail
from attn_research.launch.watch import Running, View, Watch
from attn_research.studies import store

TRIES = 3  # times that a cell is started that something kills
TICK = 0.05  # seconds between looks at the processes


class Child(NamedTuple):
    """A cell that is running."""

    id: str
    process: subprocess.Popen
    slot: slots.Slot
    log: Tail
    began: float


def said(sentence: str) -> None:
    """Prints a sentence at once."""
    print(sentence, flush=True)


def run(
    directory: str | os.PathLike[str],
    ids: Sequence[str],
    *,
    workers: int = 1,
    command: Command | None = None,
    grace: float = 60.0,
    report: Callable[[str], None] = said,
    axes: Sequence[str] = (),
    verbose: bool = False,
) -> int:
    """Runs the cells that are not done; returns the exit code of the sweep.

    0: all are done. 1: some failed or are damaged. 74: the disk failed one of them. 75:
    stopped, or some are with another process; the same command goes on. What the cells
    say is kept in the log of each and reported as they say it, but for their
    evaluations, which are in the table, unless `verbose`. `axes` are the fields that
    tell the cells apart. A process that is asked to stop gets `grace` seconds for its
    checkpoint before it is killed.
    """
    free = slots.divide(workers, slots.cores(), slots.gpus(os.environ))
    with Requests() as asked, Watch(Path(directory), axes, report) as watch:
        launcher = _Launcher(
            Path(directory), list(ids), command or cell_command(), grace, watch, verbose
        )
        return launcher.loop(free, asked)


class _Launcher:
    """The state of one sweep: the cells that wait, that run, and that ended."""

    def __init__(
        self,
        directory: Path,
        ids: list[str],
        command: Command,
        grace: float,
        watch: Watch,
        verbose: bool,
    ):
        self.directory, self.ids, self.command = directory, ids, command
        self.grace, self.watch, self.report = grace, watch, watch.report
        self.verbose = verbose
        self.waiting = deque(ids)
        self.busy: deque[str] = deque()
        self.running: list[Child] = []
        self.failed: set[str] = set()
        self.refused = False  # by the disk
        self.left: set[str] = set()
        self.stopping: float | None = None  # when the first request to stop came
        self.killed = False
        self.tries: Counter[str] = Counter()
        self.seconds: list[float] = []  # that each finished cell took
        self.done = 0
        self.ooms = oom_kills()

    def loop(self, free: list[slots.Slot], asked: Requests) -> int:
        several = len(free) > 1
        patience = time.monotonic() + self.grace
        while self.waiting or self.running or self.busy:
            if asked.times:
                self._stop(urgent=asked.times > 1)
            while free and self.waiting and self.stopping is None:
                id = self.waiting.popleft()
                if self._wanted(id):
                    self._try(id, free)
            ended = [c for c in self.running if c.process.poll() is not None]
            for child in self.running:
                self._relay(child, several)
            for child in ended:
                self.running.remove(child)
                free.append(child.slot)
                self._ended(child)
                patience = time.monotonic() + self.grace
            self.watch.look(self._view())
            if not self.running and not self.waiting and self.busy:
                self._wait_for_others(patience)
            time.sleep(TICK if self.running or self.busy else 0)
        if self.failed:
            return DISK if self.refused else FAILED
        return REQUEUE if self.stopping is not None or self.left else DONE

    def _view(self) -> View:
        running = [
            Running(self.ids.index(child.id) + 1, child.id, child.began)
            for child in self.running
        ]
        waiting = len(self.waiting) + len(self.busy)
        total, failed = len(self.ids), len(self.failed)
        return View(total, self.done, failed, waiting, running, self.seconds)

    def _number(self, id: str) -> str:
        return f"[{self.ids.index(id) + 1}/{len(self.ids)}]"

    def _name(self, id: str) -> str:
        return f"{self._number(id)} {id}"

    def _relay(self, child: Child, several: bool) -> None:
        """Reports what a cell has said, with its number if several run."""
        number = f"{self._number(child.id)} " if several else ""
        for line in child.log.lines():
            if self.verbose or not EVALUATION.search(line):
                self.report(f"{number}{line}")

    def _wanted(self, id: str) -> bool:
        """Whether a cell is to be started now; reports it if it failed."""
        state, message = store.state(self.directory, id)
        if state == "done":
            self.done += 1
            return False
        if state in ("damaged", "unreadable"):
            self.refused |= state == "unreadable"
            self._fail(id, message)
            return False
        if state == "running":
            self.busy.append(id)
            return False
        error = layout.read_error(store.place(self.directory, id))
        if error and error["kind"] in ("oom", "oom_killed"):
            if error.get("host") == socket.gethostname():
                where = store.place(self.directory, id) / layout.ERROR
                again = f"it is not tried again here until {where} is deleted"
                self._fail(id, f"{message}; {again}")
                return False
        return True

    def _fail(self, id: str, message: str) -> None:
        self.failed.add(id)
        self.report(f"{self._name(id)} failed: {message}")

    def _try(self, id: str, free: list[slots.Slot]) -> None:
        """Starts a cell in the first free slot, which stays free if that fails."""
        try:
            self.running.append(self._start(id, free[0]))
        except OSError as error:
            kind, code = classify(error) if refusal(error) else ("internal", INTERNAL)
            message = f"it could not be started ({sentence(error)})"
            self._failed(id, Ending("failed", message, kind, code))
        else:
            free.pop(0)

    def _start(self, id: str, slot: slots.Slot) -> Child:
        folder = store.place(self.directory, id)
        (folder / layout.ERROR).unlink(missing_ok=True)
        run = store.read_cell(self.directory, id)
        environment = slots.environment(
            slot,
            run.population.size,
            {**layout.began(folder), **os.environ},
            one_device=run.config.train.execution == "vmap",
            mesh=mesh.size(run.config.train.mesh),
        )
        log = folder / layout.LOG
        tail = Tail(log)
        with slots.confined(slot), open(log, "ab") as file:
            process = subprocess.Popen(
                self.command(folder),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                process_group=0,  # a key press reaches the launcher alone
            )
        return Child(id, process, slot, tail, time.monotonic())

    def _stop(self, urgent: bool) -> None:
        """Passes a request to stop on; kills what outlives the grace period."""
        if self.stopping is None:
            self.stopping = time.monotonic()
            self.waiting.clear()
            self.busy.clear()
            if self.running:
                self.report(
                    "Stopping: waiting for the checkpoints of the cells; the same "
                    "command goes on from there."
                )
            for child in self.running:
                child.process.send_signal(signal.SIGTERM)
        late = time.monotonic() - self.stopping > self.grace
        if (urgent or late) and not self.killed:
            self.killed = True
            for child in self.running:
                child.process.kill()

    def _wait_for_others(self, patience: float) -> None:
        """Takes over a cell that another process releases within the grace period."""
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
                f"{holder.get('host')} and was left to it"
            )

    def _ended(self, child: Child) -> None:
        code, folder = child.process.returncode, store.place(self.directory, child.id)
        ooms = oom_kills()
        ending = judge(code, folder, oom=ooms != self.ooms)
        self.ooms = ooms
        self.refused |= code == DISK
        if self.stopping is not None and code < 0:  # we killed it
            ending = Ending("stopped", "it was asked to stop")
        if ending.outcome == "done":
            seconds = time.monotonic() - child.began
            self.seconds.append(seconds)
            self.done += 1
            self.report(f"{self._name(child.id)} {ending.message} in {seconds:.0f} s")
        elif ending.outcome == "failed":
            self._failed(child.id, ending)
        elif ending.outcome == "killed":
            self.tries[child.id] += 1
            if self.tries[child.id] < TRIES:
                self.report(
                    f"{self._name(child.id)} {ending.message}; it is tried again"
                )
                self.waiting.append(child.id)
            else:
                again = ending._replace(message=f"it was killed {TRIES} times")
                self._failed(child.id, again)
        else:
            write_down(store.place(self.directory, child.id), ending)
            state, _ = store.state(self.directory, child.id)
            if state in ("running", "done") and self.stopping is None:
                self.busy.append(child.id)  # another process was faster
            else:
                self.left.add(child.id)

    def _failed(self, id: str, ending: Ending) -> None:
        self.refused |= ending.exit == DISK
        refused = write_down(store.place(self.directory, id), ending)
        message = ending.message
        if refused is not None and ending.exit == DISK:
            message = sentence(refused)  # the cell could not say it either
        self._fail(id, f"{ending.kind}: {message}" if ending.kind else message)
