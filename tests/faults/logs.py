"""Trials: writers of one log, killed at random moments, each after the other."""

import time
from pathlib import Path
from typing import Any

from attn_research.host.journal import Journal, read_journal
from attn_research.host.lock import Lock
from tests.faults.trial import Tell, delays, fork, kill_after, main


def write(directory: Path, tell: Tell) -> None:
    path = directory / "log.jsonl"
    with Lock(directory), Journal(path) as journal:
        number = len(read_journal(path))
        tell(number)
        while True:
            for _ in range(4):
                journal.append({"number": number, "text": "x" * (number % 700)})
                number += 1
            journal.commit()
            tell(number)


def trials(directory: str, seconds: float, seed: int) -> dict[str, Any]:
    folder, problems = Path(directory), []
    acknowledged = kills = 0
    end = time.monotonic() + seconds
    for delay in delays(seed, 0.1):
        if time.monotonic() > end:
            break
        child = fork(lambda tell: write(folder, tell))
        first = child.next()
        if first < acknowledged:
            problems.append(f"{kills}: {first} records left of {acknowledged}")
        kill_after(child, delay)
        code, told = child.end()
        kills += code == -9
        acknowledged = max([first, *told])
        numbers = [record["number"] for record in read_journal(folder / "log.jsonl")]
        if numbers != list(range(len(numbers))):
            problems.append(f"{kills}: the records are not each there once, in order")
    return {"kills": kills, "records": acknowledged, "problems": problems}


if __name__ == "__main__":
    main(trials)
