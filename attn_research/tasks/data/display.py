"""The display of data sets: a bar or lines for each stage, and the table of all."""

import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from attn_research.tasks.contract import SPLITS
from attn_research.tasks.data import packed
from attn_research.tasks.data.catalogue import DATA_SETS
from attn_research.tasks.data.schema import DataSet

T = TypeVar("T")
QUIET = 5.0  # seconds between two lines without a terminal


class Bar:
    """The stages of preparing one data set, as a context manager."""

    def __init__(self, name: str):
        self.name = name
        self._bar: Any = None
        # The present one: redirected outputs silence what libraries print.
        self._out, self._printed = sys.stdout, time.monotonic()

    def __enter__(self) -> "Bar":
        if sys.stdout.isatty():
            from rich import console, progress

            self._bar = progress.Progress(
                progress.TextColumn("{task.description}"),
                progress.BarColumn(),
                progress.MofNCompleteColumn(),
                progress.TimeRemainingColumn(),
                console=console.Console(file=self._out),
                transient=True,
            )
            self._bar.start()
        return self

    def track(self, items: Iterable[T], stage: str, total: int) -> Iterator[T]:
        """The items, counted as they pass."""
        row = self._bar and self._bar.add_task(f"{self.name} {stage}", total=total)
        for count, item in enumerate(items, 1):
            yield item
            if self._bar is not None:
                self._bar.update(row, completed=count)
            elif time.monotonic() > self._printed + QUIET:
                self._printed = time.monotonic()
                print(f"{self.name} {stage}: {count:,} of {total:,}", file=self._out)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()


def result(name: str, where: Path) -> str:
    """One sentence on a packed data set: counts, size, and replaced bytes."""
    manifest = packed.manifest(name, where)
    counts = ", ".join(
        f"{part['examples']:,} {split}" for split, part in manifest["splits"].items()
    )
    replaced = "".join(
        f"; {count:,} bytes of {feature} were not UTF-8 and became '?'"
        for feature, count in manifest["replaced"].items()
    )
    return f"{counts} examples, {_megabytes(_size(manifest))} packed{replaced}"


def table(where: Path) -> None:
    """Prints every data set of the catalogue and whether it is prepared."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    header = ("name", "task", *SPLITS, "raw", "packed", "licence", "files from")
    right = {*SPLITS, "raw", "packed"}
    grid = Table(box=None, header_style="bold", pad_edge=False)
    for name in header:
        grid.add_column(Text(name), justify="right" if name in right else "left")
    for data in DATA_SETS.values():
        counts = [f"{data.examples[split]:,}" for split in SPLITS]
        raw = _megabytes(sum(file.bytes for file in data.files))
        cells = [data.name, data.task, *counts, raw, _state(data, where)]
        grid.add_row(*map(Text, [*cells, data.licence, data.source]))
    console = Console()
    if not console.is_terminal:  # the width of files and pipes is unlimited
        console = Console(width=400)
    console.print(grid)
    print(f"Directory of prepared data sets: {where}")


def _state(data: DataSet, where: Path) -> str:
    """The size of a packed data set, `-` if there is none, or `damaged`."""
    if packed.location(data.name, where) is None:
        return "-"
    try:
        packed.load(data.name, where)
        return _megabytes(_size(packed.manifest(data.name, where)))
    except packed.Damaged:
        return "damaged"


def _size(manifest: dict[str, Any]) -> int:
    parts = manifest["splits"].values()
    return sum(facts["bytes"] for p in parts for facts in p["arrays"].values())


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
