"""Numbers of members: measured once for each content, and cached in the run."""

import math
import os

import pytest

from attn_research.analysis import cache
from attn_research.analysis.cache import cached_by_member
from tests.analysis.made import run_of

ASKED = []


def measured(directory: str, member: int, share: float) -> tuple[float, ...]:
    ASKED.append((member, share))
    return 1 / 3, math.nan, math.inf, member + share


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "one"
    return str(run_of(path, "recall(length=16,pairs=2)", "conv", 16, 16))


@pytest.fixture(autouse=True)
def no_calls():
    ASKED.clear()


def anew(*asked):
    """The numbers as a new process gets them."""
    return cached_by_member(measured)(*asked)


def test_a_later_process_reads_what_was_measured_to_the_last_bit(run):
    first, second = (anew(run, 1, 0.5) for _ in range(2))
    assert ASKED == [(1, 0.5)]
    assert repr(first) == repr(second) == repr((1 / 3, math.nan, math.inf, 1.5))


def test_other_members_and_arguments_are_measured(run):
    assert [anew(run, *asked)[-1] for asked in ((0, 2.0), (1, 2.0), (1, 3.0))] == [
        2.0,
        3.0,
        4.0,
    ]
    assert len(ASKED) == 3


def test_other_parameters_are_measured(run, tmp_path):
    other = run_of(tmp_path, "recall(length=16,pairs=2)", "conv(width=2)", 16, 16)
    os.symlink(cache.folder(run).parent, tmp_path / "analysis")
    anew(run, 0, 7.0)
    anew(str(other), 0, 7.0)
    assert ASKED == [(0, 7.0)] * 2


def test_another_module_that_measures_is_another_measure(run, monkeypatch):
    anew(run, 0, 9.0)
    monkeypatch.setattr(cache.inspect, "getsource", lambda module: "other")
    anew(run, 0, 9.0)
    assert ASKED == [(0, 9.0)] * 2


def test_a_run_that_cannot_be_written_to_is_measured_every_time(tmp_path):
    other = run_of(tmp_path, "recall(length=16,pairs=2)", "conv", 16, 16)
    (tmp_path / "analysis").write_text("in the way")
    assert repr(anew(str(other), 0, 1.0)) == repr(anew(str(other), 0, 1.0))
    assert ASKED == [(0, 1.0)] * 2
