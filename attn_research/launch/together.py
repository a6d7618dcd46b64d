"""What a sweep would do with its workers: how many cells at a time, in what memory."""

from collections.abc import Sequence
from pathlib import Path

import jax

from attn_research.host import layout, memory
from attn_research.studies import store
from attn_research.studies.study import Cell
from attn_research.training import placed


def sentence(cells: Sequence[Cell], workers: int) -> str:
    """How many cells run at a time, and the memory that the largest of them need.

    It is the least that each needs in any case, with the margin for its process; what a
    compiled program needs beyond that is known when a cell begins.
    """
    needs = [
        memory.with_margin(placed.at_least(cell.config, cell.population.size))
        for cell in cells
    ]
    count = min(workers, len(cells))
    needed = sum(sorted(needs, reverse=True)[:count])
    free = memory.available(jax.local_devices()[0])
    if count == 1:
        said = "1 cell runs at a time; the largest needs at least"
    else:
        said = (
            f"{count} cells run at a time; the {count} largest together need at least"
        )
    said += f" {needed / 1e9:.2f} GB"
    if free is None:
        return f"{said}."
    fits = "" if needed <= free else ": too little"
    return f"{said}, and {free / 1e9:.2f} GB are free{fits}."


def ended(directory: str, cells: Sequence[Cell]) -> str:
    """How many of the cells have ended in the directory of a study, which may be none.

    These do not run again.
    """
    count = 0
    if (Path(directory) / layout.STUDY).exists():
        states = (store.state(directory, cell.id)[0] for cell in cells)
        count = sum(state == "done" for state in states)
    return f"In {directory} {count} of {len(cells)} cells are done."
