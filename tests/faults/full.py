"""Trials: the disk is full at random moments of saving and logging."""

import random
from pathlib import Path
from typing import Any

from attn_research.checkpoint import Writer
from attn_research.host.durable import DiskError
from attn_research.host.journal import Journal, read_journal
from tests.faults.trial import main, mounted, right, target, tree


def trials(folder: str, count: int, seed: int) -> dict[str, Any]:
    draw = random.Random(seed)
    problems: list[str] = []
    landed: list[str] = []
    for trial in range(count):
        at = Path(folder, f"disk{trial}")
        with mounted(Path(folder, "none"), at, kind="tmpfs", megabytes=4):
            try:
                _trial(at, draw, trial, landed, problems)
            except Exception as error:
                problems.append(f"{trial}: {type(error).__name__}: {error}")
    return {"landed": landed, "problems": problems}


def _trial(
    at: Path, draw: random.Random, trial: int, landed: list[str], problems: list[str]
) -> None:
    acknowledged, logged = 0, 0
    free = draw.randrange(50, 600) << 10
    ballast = at / "ballast"
    with Journal(at / "log.jsonl") as journal:
        try:
            with Writer(at / "run", keep=2) as writer:
                for step in (1, 2):
                    writer.save(step, {"params": tree(step)}, {})
                    acknowledged = writer.wait() or 0
                with open(ballast, "wb") as file:
                    size = (4 << 20) - sum(
                        f.stat().st_blocks * 512 for f in at.rglob("*") if f.is_file()
                    )
                    file.write(b"x" * max(0, size - free))
                for step in range(3, 40):
                    writer.save(step, {"params": tree(step)}, {})
                    journal.append({"step": step, "text": "x" * 20_000})
                    journal.commit()
                    logged = step
                    acknowledged = writer.wait() or 0
        except DiskError as error:
            landed.append(str(error))
        ballast.unlink()
        with Writer(at / "run") as writer:
            found = writer.restore({"params": target()})
            if not found or found[0] < acknowledged:
                problems.append(f"{trial}: lost step {acknowledged}")
            elif not right(found[1]["params"], found[0]):
                problems.append(f"{trial}: step {found[0]} holds other numbers")
            else:
                writer.save(found[0] + 1, {"params": tree(found[0] + 1)}, {})
                writer.wait()
        journal.append({"step": "after"})
    steps = [record["step"] for record in read_journal(at / "log.jsonl")]
    if steps not in ([*range(3, n), "after"] for n in (logged + 1, logged + 2)):
        problems.append(f"{trial}: the log holds {steps}, had {logged}")


if __name__ == "__main__":
    main(trials)
