"""What a sweep writes and says once its cells have ended."""

import shlex
from pathlib import Path

from attn_research import commands
from attn_research.studies.results import Rows


def collected(out: str, unread: set[str]) -> Rows:
    """The rows of results.csv, which is written from the files of the cells.

    The ids of cells of which the disk refuses a file are added to `unread`.
    """
    from attn_research.studies import store

    rows = store.collect(out, unread=unread.add)
    print(f"{Path(out) / 'results.csv'}: {len(rows)} members of finished cells.")
    return rows


def ranked(rows: Rows) -> None:
    """Prints the mixers, best first, each at its best rate in validation."""
    from attn_research.launch import overview
    from attn_research.report import formatting, ranking

    lines = ranking.of_study(rows)
    if not lines:
        return
    names = list(lines[0])
    texts = [[formatting.number(line[name]) for name in names] for line in lines]
    right = len(names) - names.index("mixer") - 1
    overview.table(names, texts, right=right)


def report(out: str) -> str:
    """The command that writes the page."""
    program, *name = commands.called()
    if name and name[-1].endswith("sweep.py"):
        return shlex.join([program, name[-1].replace("sweep.py", "report.py"), out])
    return shlex.join([program, "report", out])
