"""Trials: power cuts on a file system of its own.

The file system is shut down under the writer without flushing its journal, as a cut
leaves it: what was not synced is gone. It is then mounted again, which replays the
journal. A write that is refused proves that a cut landed, and files that were written
and not synced that some cuts lost them.
"""

import errno
import fcntl
import os
import signal
import struct
import subprocess
import time
from pathlib import Path
from typing import Any

import jax  # noqa: F401  imported before the fork, so that a trial is short
import orbax.checkpoint  # noqa: F401

from attn_research.host.journal import Journal, read_journal
from tests.faults.trial import (
    Tell,
    delays,
    fork,
    judge,
    main,
    mounted,
    resume_and_save,
)

SHUTDOWN = 2 << 30 | 4 << 16 | ord("X") << 8 | 125  # EXT4_IOC_SHUTDOWN
WITHOUT_FLUSH = 2


def cut(at: Path) -> bool:
    """Stops the file system at once; whether it refuses what comes after.

    Nothing unsynced reaches the disk, unless a sync was under way that takes it along.
    """
    (at / "unsynced").write_text("lost")
    handle = os.open(at, os.O_RDONLY)
    try:
        fcntl.ioctl(handle, SHUTDOWN, struct.pack("I", WITHOUT_FLUSH))
    finally:
        os.close(handle)
    try:
        (at / "later").write_text("refused")
    except OSError as error:
        return error.errno == errno.EIO
    return False


def remount(image: Path, at: Path) -> None:
    for _ in range(100):
        if subprocess.run(["umount", str(at)], capture_output=True).returncode == 0:
            break
        time.sleep(0.05)
    command = ["mount", "-o", "loop", str(image), str(at)]
    subprocess.run(command, check=True, capture_output=True)


def log(path: Path, tell: Tell) -> None:
    with Journal(path) as journal:
        number = len(read_journal(path))
        tell({"number": number})
        while True:
            for _ in range(3):
                journal.append({"number": number, "text": "x" * 300})
                number += 1
            journal.commit()
            tell({"number": number})


def trials(folder: str, count: int, seed: int) -> dict[str, Any]:
    image, at = Path(folder, "disk.img"), Path(folder, "disk")
    problems: list[str] = []
    acknowledged = records = landed = lost = 0
    with mounted(image, at, kind="ext4", megabytes=64):
        for trial, delay in zip(range(count + 1), delays(seed, 0.5), strict=False):
            saver = fork(lambda tell: resume_and_save(at / "run", tell))
            logger = fork(lambda tell: log(at / "log.jsonl", tell))
            judge(saver.next(), acknowledged, problems, trial)
            first = logger.next()["number"]
            if first < records:
                problems.append(f"{trial}: {first} records left of {records}")
            # On a busy machine no time is long enough for the first step.
            acknowledged = max(acknowledged, saver.next()["acknowledged"])
            records = max(records, logger.next()["number"])
            time.sleep(delay)
            # A processor stops with its disk: nothing is told once the cut began,
            # while a shut down file system may still end a sync without an error.
            for child in (saver, logger):
                os.kill(child.pid, signal.SIGSTOP)
            if trial < count:
                landed += cut(at)
            for child in (saver, logger):
                os.kill(child.pid, signal.SIGKILL)
            told = saver.end()[1]
            acknowledged = max([acknowledged, *(t["acknowledged"] for t in told)])
            records = max([first, *(t["number"] for t in logger.end()[1])])
            if trial < count:
                remount(image, at)
                unsynced = at / "unsynced"
                lost += not unsynced.exists() or not unsynced.read_text()
        numbers = [record["number"] for record in read_journal(at / "log.jsonl")]
        if numbers != list(range(len(numbers))):
            problems.append("the records are not each there once, in order")
    return {
        "landed": landed,
        "lost": lost,
        "acknowledged": acknowledged,
        "records": records,
        "problems": problems,
    }


if __name__ == "__main__":
    main(trials)
