"""The curves of runs in TensorBoard and wandb, from what the runs have logged.

    with following("runs/first", ("tensorboard",)):
        loop.run(config, population, "runs/first")

The follower reads metrics.jsonl beside the training and takes no part in it: a sink
that fails is left out with one sentence, and the run goes on. `write` does the same for
a run that has ended.
"""

import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from attn_research.config import content_hash
from attn_research.host import layout
from attn_research.host.exits import sentence
from attn_research.host.journal import stream_journal
from attn_research.host.lock import Lock
from attn_research.studies.sinks import SINKS, Shown, Sink, require

EVERY = 1.0  # seconds between looks at a log
SHARE = 20  # a look of one second is followed by so many without
PATIENCE = 60.0  # seconds that sinks have to end
Report = Callable[[str], None]


def said(sentence: str) -> None:
    """Prints a sentence at once."""
    print(sentence, flush=True)


@contextmanager
def following(
    directory: str | os.PathLike[str], names: Sequence[str], report: Report = said
) -> Iterator[None]:
    """Shows the run in a directory in the sinks of these names while it runs.

    Raises `BadInput` if the package of a sink is missing.
    """
    if not names:
        yield
        return
    require(tuple(names))
    done = threading.Event()
    follower = Follower(Path(directory), names, report)

    def follow() -> None:
        pause = EVERY
        with follower:
            while not done.wait(pause):
                began = time.monotonic()
                follower.look()
                pause = max(EVERY, SHARE * (time.monotonic() - began))
            follower.look()

    thread = threading.Thread(target=follow, daemon=True, name="tracking")
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(PATIENCE)
        if thread.is_alive():
            report(f"Tracking has not ended after {PATIENCE:.0f} s and is left alone.")


def write(
    directory: str | os.PathLike[str], names: Sequence[str], report: Report = said
) -> int:
    """Shows what a run has logged until now; returns how many sinks failed."""
    with Follower(Path(directory), names, report) as follower:
        follower.look()
    return follower.failed


class Follower:
    """Brings what is new in the log of a run into its sinks; raises nothing."""

    def __init__(self, directory: Path, names: Sequence[str], report: Report):
        self.directory, self.report = directory, report
        self.open: dict[str, list[Sink]] = {name: [] for name in names}
        self.members: list[Shown] = []
        self.reached: dict[int, int] = {}  # the last step of each member
        self.seen: tuple[int, int] | None = None  # the file at the last look
        self.failed = 0
        self._held = ExitStack()

    def look(self) -> None:
        """Writes the records that are in the log and in no sink yet."""
        try:
            path = self.directory / layout.METRICS
            if not path.exists():
                return
            file = path.stat()
            if self.seen == (file.st_ino, file.st_size):
                return
            if not self.members:
                self._held.enter_context(Lock(self.directory / layout.TRACKING))
                self.members = shown(self.directory)
            self.seen = file.st_ino, file.st_size
            for record in stream_journal(path):
                member, step = record["member"], record["step"]
                if step > self.reached.get(member, -1):
                    self.reached[member] = step
                    self._each(lambda sink, m=member, r=record: _logged(sink[m], r))
            self._each(lambda sinks: [sink.flush() for sink in sinks])
        except Exception as error:
            self._give_up(list(self.open), error)

    def _each(self, act: Callable[[list[Sink]], object]) -> None:
        """Calls `act` with the members of every sink, which leaves if that fails."""
        for name in list(self.open):
            try:
                if not self.open[name]:
                    self.open[name] += map(SINKS[name], self.members)
                act(self.open[name])
            except Exception as error:
                self._give_up([name], error)

    def _give_up(self, names: list[str], error: Exception) -> None:
        for name in names:
            for sink in self.open.pop(name):
                with suppress(Exception):
                    sink.close()
            self.failed += 1
            self.report(
                f"Tracking of {self.directory} by {name} failed ({sentence(error)}); "
                "the run goes on without it."
            )

    def __enter__(self) -> "Follower":
        return self

    def __exit__(self, *_: object) -> None:
        if self.members:
            try:
                result = layout.read_result(self.directory) or {"members": []}
                for member in result["members"]:
                    values = {
                        f"test/{name}": value
                        for name, value in (member.get("test") or {}).items()
                        if isinstance(value, (int, float))
                    }
                    index = member["member"]
                    # One that was solved stands still while the others are logged.
                    step = max(member["step"], self.reached.get(index, 0))
                    self._each(
                        lambda sinks, i=index, s=step, v=values: sinks[i].write(s, v)
                    )
            except Exception as error:
                self._give_up(list(self.open), error)
            self._each(lambda sinks: [sink.close() for sink in sinks])
        self._held.close()


def _logged(sink: Sink, record: dict[str, Any]) -> None:
    """Writes one record of a log: its metrics are of the validation split."""
    values = {
        name if name == "train_loss" else f"validation/{name}": float(value)
        for name, value in record.items()
        if name not in ("member", "step") and isinstance(value, (int, float))
    }
    sink.write(record["step"], values)


def shown(directory: str | os.PathLike[str]) -> list[Shown]:
    """The members of a run as sinks show them, those of a cell within its study."""
    from attn_research import hypers
    from attn_research.modules import pattern

    directory = Path(directory).resolve()
    run = layout.read_config(directory)
    mixer = pattern.brief(run.config.model.pattern)
    base, folder = directory, Path()
    if directory.parent.name == layout.CELLS:
        label = re.sub(r"[^\w.=-]+", "-", mixer).strip("-")
        base, folder = directory.parents[1], Path(f"{label[:60]}-{directory.name}")
    everyone = hypers.grid(run.population)
    found = []
    for index in range(run.population.size):
        one = hypers.member(everyone, index)._asdict()
        # The shortest decimal of a float32 is the number that the user wrote.
        values = {
            name: value.item() if value.dtype.kind == "i" else float(str(value))
            for name, value in one.items()
        }
        values |= {"mixer": mixer, "task": run.config.task}
        id = content_hash(run.id, str(directory), index)
        found.append(Shown(base, folder / f"member-{index}", id, values))
    return found
