"""What one sees of a sweep while it runs: on a terminal, in a log, and at its end."""

import io
import json
import sys
import time

import pytest
from rich.console import Console

from attn_research.host import layout
from attn_research.host.lock import Lock
from attn_research.launch import local, overview, watch
from attn_research.launch.logs import EVALUATION
from attn_research.launch.watch import Running, View, Watch, remaining
from attn_research.options import BadInput
from attn_research.studies import store
from attn_research.studies.study import cells
from tests.command import command as script
from tests.faults.sweeper import study


@pytest.fixture
def three(tmp_path):
    return store.open_study(tmp_path / "study", study(3), cells(study(3)))


def beat(opened, number: int, **news) -> None:
    """What a run would have told of itself."""
    news = {"phase": "training", "since": time.time(), **news}
    path = store.place(opened.directory, opened.ids[number]) / layout.PROGRESS
    path.write_text(json.dumps(news))


FIRST = {"step": 30, "steps": 120, "left": 90.0, "metric": "accuracy"}


def view(opened, running=2, **changes) -> View:
    began = time.monotonic() - 30
    at = [Running(n + 1, opened.ids[n], began) for n in range(running)]
    return View(3, 0, 0, 3 - running, at, [])._replace(**changes)


def test_a_line_a_minute_says_how_far_all_are(three):
    told = []
    beat(three, 0, **FIRST, scores=[0.9, 0.5, 0.25])
    with Watch(three.directory, ["task.gap"], told.append, terminal=False) as seen:
        seen.look(view(three))
        assert told == []  # a minute has not passed
        seen._last -= watch.MINUTE
        seen.look(view(three))
        seen.look(view(three))
    (line,) = told
    first, one, two = line.split("; ")
    # Of the three, one takes 30 + 90 s: 90 s are left of it, the others take 120.
    assert first == "0 of 3 cells done, 2 running, 1 waiting, about 3 min left"
    assert one.endswith("step 30/120 accuracy 0.9 / 0.5 / 0.25 90 s left")
    assert one.startswith("[1]") and two.startswith("[2]") and "starting 30 s" in two


def test_a_cell_that_has_ended_is_not_starting(three):
    """What is torn is no news; what is deleted is the end."""
    told = []
    news = store.place(three.directory, three.ids[0]) / layout.PROGRESS
    with Watch(three.directory, ["task.gap"], told.append, terminal=False) as seen:
        for change in (
            lambda: beat(three, 0, **FIRST, scores=[0.9, 0.5, 0.25]),
            lambda: news.write_text("{"),
            news.unlink,
            lambda: beat(three, 0, **FIRST, scores=[0.9, 0.5, 0.25]),
        ):
            change()
            seen._last -= watch.MINUTE
            seen.look(view(three, running=1))
    first, torn, ended, again = (line.split("; ")[1] for line in told)
    assert "step 30/120" in first and torn == first == again
    assert "ending 0 s accuracy 0.9 / 0.5 / 0.25" in ended


@pytest.mark.parametrize("given", ["soon", "0", "-1", "nan", "inf", ""])
def test_seconds_between_lines_must_be_a_positive_number(three, given, monkeypatch):
    monkeypatch.setenv(watch.VARIABLE, given)
    with pytest.raises(BadInput, match=f"is '{given}'; it must be a positive number"):
        Watch(three.directory, [], print, terminal=False)
    Watch(three.directory, [], print, terminal=True)  # a table has no lines


def test_a_terminal_has_a_table_that_is_drawn_over(three, monkeypatch):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=110, color_system=None)
    monkeypatch.setattr("rich.get_console", lambda: console)
    beat(three, 0, **FIRST, scores=[0.9, 0.5, 0.25])
    beat(three, 1, phase="compiling", since=time.time() - 12)
    (first, *_), told = study(3).axes, []
    with Watch(three.directory, [first], told.append, terminal=True) as seen:
        seen._last = 0.0
        seen.look(view(three, failed=1))
        seen.report("a sentence [that] stays")
    text = screen.getvalue()
    assert told == [] and "a sentence [that] stays" in text
    assert "30/120" in text and "accuracy 0.9 / 0.5 / 0.25" in text and "90 s" in text
    assert "compiling 12 s" in text and "1 failed" in text
    assert f"{study(3).axes[first][1]}" in text


@pytest.mark.parametrize(
    ("lefts", "lasting", "waiting", "wanted"),
    [
        ([], [], 3, None),
        ([None], [], 3, None),
        ([90.0], [120.0], 0, 90.0),
        ([90.0], [120.0], 2, 330.0),
        ([90.0, None], [120.0], 1, 165.0),
        ([600.0, 1.0], [10.0], 0, 600.0),  # not before the last one
    ],
)
def test_the_time_that_is_left(lefts, lasting, waiting, wanted):
    assert remaining(lefts, lasting, waiting) == wanted


def test_evaluations_are_not_said_twice(three):
    """They are in the table; what else a cell says is reported."""
    line = "recall dense  step 5/60  9 steps/s  3 s left  accuracy 0.5"
    assert EVALUATION.search(line)
    for verbose in (False, True):
        told: list[str] = []
        code = f"print({line!r}); print('12 answers are left out')"
        local.run(
            three.directory,
            three.ids[:1],
            command=lambda _, code=code: [sys.executable, "-c", code],
            report=told.append,
            verbose=verbose,
        )
        assert "12 answers are left out" in told and (line in told) == verbose


def test_the_status_has_the_phase_the_saved_step_and_the_time(three, capsys):
    beat(three, 0, **FIRST, scores=[0.9, 0.5, 0.25])
    folder = store.place(three.directory, three.ids[0]) / layout.CHECKPOINTS
    (folder / "20").mkdir(parents=True)
    with Lock(folder):
        overview.show(store.status(three.directory), three.directory)
    header, first, *_, last = capsys.readouterr().out.splitlines()
    assert header.split()[-8:-3] == ["step", "saved", "best", "accuracy", "seconds"]
    assert header.split()[-3:] == ["phase", "steps/s", "left"]
    assert first.split()[-7:] == ["30/120", "20", "0.9", "training", "1", "90", "s"]
    assert last == "3 cells: 1 running, 2 waiting; 0 s of finished runs."


TINY = ["task.length=16", "model.width=8", "train.steps=4", "train.eval_every=2"]
TINY += ["train.batch=4", "train.eval_batches=1", "train.test_batches=1"]


@pytest.mark.slow
def test_a_sweep_ends_with_its_ranking_and_the_next_command(tmp_path):
    sets = [word for field in TINY for word in ("--set", field)]
    done = script(
        "sweep",
        "--experiment=recall_distance",
        f"--out={tmp_path / 'study'}",
        "--seed=0,1",
        *sets,
    )
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[-1] == (
        f"The page of the study: python scripts/report.py {tmp_path / 'study'}"
    )
    header = next(i for i, line in enumerate(lines) if line.startswith("mixer"))
    ranked = [line.split("  ")[0] for line in lines[header + 1 : -1]]
    assert len(ranked) > 1 and any("dense" in name for name in ranked)
