"""Studies of many cells: time, memory, and a page that can be loaded and read."""

import builtins
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from attn_research.host import layout
from attn_research.host.journal import Journal
from attn_research.report import figures, limits, page, saving
from attn_research.report.figures import Plan
from attn_research.report.formatting import Interval
from attn_research.studies import readers, store
from tests.command import ROOT
from tests.report import many


def plan(panels: int, lines: int, points: int = 3) -> Plan:
    value = Interval(0.5, 0.4, 0.6)
    series = {
        f"mixer{line}": [(2.0**at, value) for at in range(points)]
        for line in range(lines)
    }
    named = {f"setting {panel}": series for panel in range(panels)}
    return Plan("many", "Many", "All of them.", named, "task.length", "accuracy")


def test_a_figure_of_many_panels_draws_the_first_and_says_so():
    drawn = figures.draw(plan(30, 40))
    shown = [axis for axis in drawn.drawing.axes if axis.get_title()]
    assert len(shown) == limits.PANELS
    drawn_lines = [
        [line for line in axis.get_lines() if line.get_marker() != "None"]
        for axis in shown
    ]
    assert all(len(some) == limits.LINES for some in drawn_lines)
    assert "the first 8 of 30 panels" in drawn.caption
    assert "the first 24 of 40 lines" in drawn.caption
    assert len(drawn.table) == 30 * 40 * 3
    assert limits.as_csv(drawn.table).count("\n") == 1 + 30 * 40 * 3
    few = figures.draw(plan(2, 3))
    assert few.caption == "All of them." and len(few.table) == 2 * 3 * 3


def test_equal_numbers_give_equal_files(tmp_path):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        saving.save(tmp_path / name, figures.draw(plan(2, 3)))
    for kind in ("png", "svg", "csv"):
        one, other = (tmp_path / n / f"many.{kind}" for n in ("one", "other"))
        assert one.read_bytes() == other.read_bytes(), kind


def test_a_long_table_links_to_all_of_its_rows(tmp_path):
    rows = [{"cell": f"c{number}", "value": number / 7} for number in range(1000)]
    shown = limits.table(tmp_path, "cells", rows)
    assert (len(shown.rows), shown.total, shown.file) == (200, 1000, "cells.csv")
    assert (tmp_path / "cells.csv").read_text().count("\n") == 1001
    empty = limits.Shown([], 0)
    names = ("gains", "groups", "failures", "diverged")
    text = page._template().render(
        study={"name": "s", "question": "?", "claim": "."},
        cells=shown,
        ranking=limits.Shown(rows[:200], 1000, "ranking.csv"),
        **dict.fromkeys(names, empty),
        columns=["cell", "value"],
        figures=[],
        environment={},
    )
    assert text.count('id="cell-') == 200
    assert text.count("The first 200 of 1,000 rows: <a href=") == 2
    assert 'href="cells.csv"' in text and 'href="ranking.csv"' in text
    whole = limits.table(tmp_path, "few", rows[:200])
    assert whole.file == "" and not (tmp_path / "few.csv").exists()


@pytest.fixture(scope="module")
def hundred(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("many") / "study"
    assert many.written(directory, 100) >= 80
    return directory


def test_a_look_reads_each_file_of_a_cell_once(hundred, monkeypatch):
    """What a study of thousands takes is decided here; a clock would depend on luck."""
    opened: Counter[str] = Counter()
    real = Path.read_bytes

    def read(path: Path) -> bytes:
        opened[path.name] += 1
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", read)
    cells = len(store.status(hundred))
    assert opened == {layout.STUDY: 1, layout.CONFIG: cells, layout.RESULT: cells}
    opened.clear()
    store.rows(hundred)
    assert opened == {layout.STUDY: 1, layout.CONFIG: cells, layout.RESULT: cells}


def test_a_long_log_is_never_held_whole(tmp_path, hundred, monkeypatch):
    """The rows need two evaluations of each member; the log flows by."""
    folder = next((hundred / layout.CELLS).iterdir())
    sizes = []
    real = builtins.open

    def watched(path, *given, **named):
        file = real(path, *given, **named)
        if str(path).endswith(layout.METRICS):
            sizes.append(path)
        return file

    monkeypatch.setattr(builtins, "open", watched)
    steps = 75 * many.EVALUATIONS
    members = [{"member": n, "step": steps} for n in range(4)]
    kept, wrong = readers.last_evaluations(folder, {"members": members})
    assert len(sizes) == 1 and len(kept) == 8 and wrong is None
    assert all(record["step"] <= 0.75 * steps for record in kept[:4])
    assert all(record["step"] == steps for record in kept[4:])


# A process inherits the peak of the one that starts it, here gigabytes of compiled
# programs; this small one stands between.
MEASURED = """
import json, os, subprocess, sys
process = subprocess.Popen(sys.argv[1:])
status, usage = os.wait4(process.pid, 0)[1:]
print(json.dumps([usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20]))
sys.exit(os.waitstatus_to_exitcode(status))
"""


def used(*command: str) -> tuple[float, float, str]:
    """(seconds of CPU, gigabytes at most, output) of a command and of it alone."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, sys.executable, *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    seconds, gigabytes = json.loads(done.stdout.splitlines()[-1])
    return seconds, gigabytes, done.stdout


def test_the_memory_of_a_command_is_its_own():
    """Not of the tests, which hold half a gigabyte more at this moment."""
    held = np.ones(2**26)
    gigabytes = used("-c", "pass")[1]
    assert held.nbytes == 2**29 and gigabytes < 0.2


@pytest.mark.slow
def test_two_thousand_cells(tmp_path):
    """60 s of CPU and 1 GB for the page, 5 s for the status; the page under 10 MB."""
    assert many.written(tmp_path / "study", 2000) == 2000
    study = str(tmp_path / "study")
    seconds, _, said = used("scripts/sweep.py", f"--out={study}", "--status")
    assert "2000 cells: 2000 done" in said
    assert seconds < 5 * slower()
    seconds, gigabytes, _ = used("scripts/report.py", study)
    assert seconds < 60 * slower() and gigabytes < 1.0
    assert (tmp_path / "study" / "report" / "index.html").stat().st_size < 10e6


@pytest.mark.slow
def test_a_log_of_a_million_lines(tmp_path):
    """It is read in a fraction of its size."""
    many.written(tmp_path / "study", 1)
    (folder,) = (tmp_path / "study" / layout.CELLS).iterdir()
    with Journal(folder / layout.METRICS, lambda record: False) as journal:
        for step in range(250_000):
            for member in range(4):
                journal.append({"step": step, "member": member, "train_loss": 1.0})
    assert os.path.getsize(folder / layout.METRICS) > 50e6
    _, gigabytes, _ = used("scripts/report.py", str(tmp_path / "study"))
    assert gigabytes < 0.4


def slower() -> float:
    """How much slower a busy machine is than the one of the promise: at least 1."""
    return max(1.0, 2 * os.getloadavg()[0] / (os.cpu_count() or 1))
