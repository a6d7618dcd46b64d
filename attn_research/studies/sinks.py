"""Where the curves of a run can be shown beside its page: TensorBoard and wandb.

A sink writes those of one member. It writes them anew from the first step each time
that it is opened, in the place of what lay there: what was resumed or written twice is
there once.
"""

import importlib
import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from attn_research.options import BadInput

# Each sink and the package that it needs.
PACKAGES = {"tensorboard": "tensorboardX", "wandb": "wandb"}
PROJECT = "attn_research"


class Shown(NamedTuple):
    """A member as the sinks show it.

    `base` is the directory of its run, or of the study of its run, and `folder` what
    tells it apart within that; `id` is its own among all runs, `hypers` say what it is.
    """

    base: Path
    folder: Path
    id: str
    hypers: dict[str, Any]


class Sink(Protocol):
    """Takes the values of one member, step after step."""

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Adds values by their tags."""
        ...

    def flush(self) -> None:
        """Returns when what was written can be read by others."""
        ...

    def close(self) -> None:
        """Ends the file."""
        ...


def require(names: tuple[str, ...]) -> None:
    """Imports the packages of sinks; raises `BadInput` if one is not installed."""
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # read as it is imported
    for name in names:
        try:
            importlib.import_module(PACKAGES[name])
        except ImportError as error:
            raise BadInput(
                f"--track={name} needs the package {PACKAGES[name]} ({error}); it must "
                "be installed, as by pip install 'attn_research[track]'"
            ) from None


class TensorBoard:
    """A member as one run of TensorBoard: BASE/tensorboard/FOLDER.

    Writes in the calling thread, so that what the disk refuses is raised here.
    """

    def __init__(self, member: Shown):
        # Imported by name: the packages are optional, and untyped.
        self.proto: Any = importlib.import_module("tensorboardX.proto.event_pb2")
        self.summary: Any = importlib.import_module("tensorboardX.summary")
        files: Any = importlib.import_module("tensorboardX.event_file_writer")
        self.hypers, self.begun = member.hypers, False
        folder = member.base / "tensorboard" / member.folder
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.glob("events.out.tfevents.*"):
            path.unlink()
        self.writer = files.EventsWriter(str(folder / "events"))
        # A TensorBoard that has read what lay here before forgets it.
        log = self.proto.SessionLog
        start = log(status=log.START)
        self._event(step=0, session_log=start)

    def _event(self, **content: Any) -> None:
        self.writer.write_event(self.proto.Event(wall_time=time.time(), **content))

    def write(self, step: int, values: Mapping[str, float]) -> None:
        if not self.begun:
            self.begun = True
            for one in self.summary.hparams(self.hypers, dict.fromkeys(values)):
                self._event(step=0, summary=one)
        for tag, value in values.items():
            self._event(step=step, summary=self.summary.scalar(tag, value))

    def flush(self) -> None:
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()


class Wandb:
    """A member as one run of wandb, below BASE/wandb.

    It stays on this machine unless $WANDB_MODE is online; `wandb sync` sends it later.
    """

    def __init__(self, member: Shown):
        wandb: Any = importlib.import_module("wandb")
        mode: Any = os.environ.get("WANDB_MODE", "offline")
        for path in (member.base / "wandb").glob(f"offline-run-*-{member.id}"):
            shutil.rmtree(path)
        self.run = wandb.init(
            dir=str(member.base),
            id=member.id,
            name=str(member.folder),
            group=member.base.name,
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            config=member.hypers,
            mode=mode,
            resume="allow" if mode == "online" else None,
            reinit="create_new",
            settings=wandb.Settings(
                silent=True, console="off", disable_git=True, save_code=False
            ),
        )
        # Of a run that goes on online; what it has is not sent again.
        self.begin = self.run.step if mode == "online" else 0

    def write(self, step: int, values: Mapping[str, float]) -> None:
        if step >= self.begin:
            self.run.log(dict(values), step=step)

    def flush(self) -> None:
        """Nothing: its own process writes."""

    def close(self) -> None:
        self.run.finish()


SINKS: dict[str, Callable[[Shown], Sink]] = {
    "tensorboard": TensorBoard,
    "wandb": Wandb,
}
