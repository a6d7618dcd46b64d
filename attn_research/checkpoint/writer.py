"""Saving a run in the background, and resuming it from the newest good step.

A step is written into a temporary directory, synced, renamed and the rename synced:
only then is it acknowledged, and only then are older ones deleted, by a rename into a
trash folder first, so that a listed step is a whole one at any moment.
"""

import os
import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attn_research.checkpoint import step as one
from attn_research.checkpoint.reader import folder, steps
from attn_research.checkpoint.tree import Leaves, compare, fill, to_host
from attn_research.host.durable import Damaged, fsync, writing
from attn_research.host.lock import Lock
from attn_research.options import BadInput
from attn_research.trees import Kind


class Writer:
    """The only writer of the checkpoints in a directory, as a context manager.

    Keeps the newest `keep` steps (0: all). A damaged step is moved into `_bad` and
    reported in one sentence. A disk error is raised as `DiskError` by the call after
    the save that it stopped.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        keep: int = 2,
        report: Callable[[str], None] = print,
    ):
        if keep < 0:
            raise BadInput(f"keep is {keep}; it must be at least 0 (0 keeps all)")
        self.directory, self.keep, self.report = Path(directory), keep, report
        self._lock = Lock(directory)
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def __enter__(self) -> "Writer":
        self._lock.__enter__()
        for left in self.directory.glob(".*.tmp"):
            shutil.rmtree(left, ignore_errors=True)
        self._empty_trash()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            self._join()
            if kind is None:
                self._raise()
        finally:
            self._lock.__exit__()

    def save(
        self, step: int, items: Mapping[str, Any], facts: Mapping[str, Any]
    ) -> None:
        """Copies the items to the host and returns; a thread writes them.

        Waits for the previous save. The newest acknowledged step is not written again.
        Raises `ValueError` for an older step.
        """
        newest = self.wait()
        if newest is not None and step <= newest:
            if step == newest:
                return
            raise ValueError(f"The step is {step}; it must be at least {newest}")
        host = {name: to_host(tree) for name, tree in items.items()}
        self._thread = threading.Thread(
            target=self._write, args=(step, host, dict(facts)), name="checkpoint"
        )
        self._thread.start()

    def wait(self) -> int | None:
        """The newest step that survives a power cut, after the save under way."""
        self._join()
        self._raise()
        known = steps(self.directory)
        return known[-1] if known else None

    def close(self) -> None:
        """Waits for the save under way and releases the directory."""
        self.__exit__(None)

    def restore(
        self, targets: Mapping[str, Any]
    ) -> tuple[int, dict[str, Any], dict[str, Any]] | None:
        """(step, items, facts) of the newest good step, or None.

        `targets` holds the structure, shape and dtype of every wanted item, as
        `ShapeDtypeStruct`s. Raises `BadInput`, and moves nothing, if a sound step has
        another structure.
        """
        self.wait()
        for step in reversed(steps(self.directory)):
            found = folder(self.directory, step)
            try:
                facts = one.read_facts(found)
                leaves = {
                    name: one.read_item(found, name, facts)
                    for name in targets
                    if name in facts.items
                }
            except Damaged as error:
                self._set_aside(found, error)
                continue
            self._check(found, facts, targets)
            items = {name: fill(leaves[name], targets[name]) for name in targets}
            return step, items, facts.facts
        return None

    def _check(self, found: Path, facts: one.Facts, targets: Mapping[str, Any]) -> None:
        for name, target in targets.items():
            if name not in facts.items:
                known = ", ".join(facts.items)
                raise BadInput(
                    f"The checkpoint {found} has the items {known}; it must have {name}"
                )
            kinds = {
                path: Kind(kind["dtype"], tuple(kind["shape"]))
                for path, kind in facts.items[name].items()
            }
            different = compare(kinds, target)
            if different:
                raise BadInput(
                    f"The checkpoint {found} is of another model or optimizer: in "
                    f"{name}, {different}"
                )

    def _set_aside(self, found: Path, error: Damaged) -> None:
        self._move(found, "_bad")
        fsync(self.directory)
        self.report(f"{error}; it was moved to {self.directory / '_bad'}")

    def _move(self, found: Path, where: str) -> None:
        (self.directory / where).mkdir(exist_ok=True)
        target, count = self.directory / where / found.name, 0
        while target.exists():
            count += 1
            target = self.directory / where / f"{found.name}.{count}"
        found.rename(target)

    def _empty_trash(self) -> None:
        shutil.rmtree(self.directory / "_trash", ignore_errors=True)

    def _write(
        self, step: int, items: Mapping[str, Leaves], facts: Mapping[str, Any]
    ) -> None:
        temporary = self._temporary(step)
        try:
            with writing(self.directory):
                one.write(temporary, step, items, facts)
                temporary.rename(folder(self.directory, step))
                fsync(self.directory)
                # keep=0 keeps all: a slice up to -0 is empty.
                for old in steps(self.directory)[: -self.keep]:
                    self._move(folder(self.directory, old), "_trash")
                self._empty_trash()
        except BaseException as error:  # raised by the next call, in its thread
            self._error = error
            shutil.rmtree(temporary, ignore_errors=True)

    def _temporary(self, step: int) -> Path:
        """A directory that is not there.

        Threads of a save that failed may write into theirs after it was deleted.
        """
        count = 0
        while (path := self.directory / f".{step:08d}.{count}.tmp").exists():
            count += 1
        return path

    def _join(self) -> None:
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error
