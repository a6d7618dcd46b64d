"""One writer per directory.

The kernel's `flock` decides between processes of one machine and is released when its
holder dies. A file server may not know of it, so the holder also keeps an owner file
and touches it as a sign of life: a holder on another machine counts as dead after a
minute of silence, by the clock of the file system.
"""

import fcntl
import os
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from attn_research.host.disk import refusal
from attn_research.host.durable import (
    Busy,
    Damaged,
    clear,
    read_json,
    write_json,
    writing,
)

HEARTBEAT = 15.0  # seconds between signs of life
SILENCE = 60.0  # seconds after which a holder on another machine counts as dead
PATIENCE = 0.5  # seconds to wait for a process that only looks


def _boot() -> str:
    """An id of the running kernel, the same in all of its containers."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return socket.gethostname()


def _read(directory: Path) -> dict[str, Any]:
    try:
        return read_json(directory / ".owner.json")
    except Damaged:  # or there is none
        return {}


def _elsewhere(directory: Path, now: float) -> dict[str, Any] | None:
    """The owner on another machine if it gave a sign of life lately, else None."""
    found = _read(directory)
    if not found or found.get("boot") == _boot():
        return None  # on this machine flock has already said that it is dead
    with suppress(OSError):
        # A date ahead of the clock is no sign of life either: it would hold for days.
        if abs(now - (directory / ".owner.json").stat().st_mtime) < SILENCE:
            return found
    return None


def owner(directory: str | os.PathLike[str]) -> dict[str, Any] | None:
    """Who is writing into the directory (host, pid, start), or None; only looks."""
    directory = Path(directory)
    try:
        handle = os.open(directory / ".lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if refusal(error):
            raise
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(directory) or {"host": "this machine", "pid": "unknown"}
    finally:
        os.close(handle)
    return _elsewhere(directory, time.time())


class Lock:
    """Holds a directory for one writer, as a context manager.

    Entering raises `Busy` if another process holds it for longer than `patience`
    seconds; the lock of a killed process is taken over, and what it left half-written
    is deleted.
    """

    def __init__(self, directory: str | os.PathLike[str], patience: float = PATIENCE):
        self.directory, self.patience = Path(directory), patience
        self._handle = -1
        self._done = threading.Event()

    def __enter__(self) -> "Lock":
        with writing(self.directory):
            self.directory.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            self._handle = os.open(self.directory / ".lock", flags, 0o644)
        try:
            self._acquire()
            clear(self.directory)
            write_json(self.directory / ".owner.json", self._facts())
        except BaseException:
            os.close(self._handle)
            raise
        self._done.clear()
        threading.Thread(target=self._live, daemon=True, name="heartbeat").start()
        return self

    def _acquire(self) -> None:
        deadline = time.monotonic() + self.patience
        while True:
            try:
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise self._busy(_read(self.directory)) from None
                time.sleep(0.05)
        os.utime(self._handle)
        holder = _elsewhere(self.directory, os.fstat(self._handle).st_mtime)
        if holder:
            raise self._busy(holder)

    def _busy(self, holder: dict[str, Any]) -> Busy:
        return Busy(
            f"{self.directory} is being written by process "
            f"{holder.get('pid', 'unknown')} on {holder.get('host', 'this machine')}; "
            "wait for it or stop it"
        )

    def _facts(self) -> dict[str, Any]:
        start = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        host = socket.gethostname()
        return {"host": host, "boot": _boot(), "pid": os.getpid(), "start": start}

    def _live(self) -> None:
        while not self._done.wait(HEARTBEAT):
            with suppress(OSError):
                os.utime(self.directory / ".owner.json")

    def __exit__(self, *_: object) -> None:
        self._done.set()
        with suppress(OSError):
            (self.directory / ".owner.json").unlink(missing_ok=True)
        os.close(self._handle)
        self._handle = -1
