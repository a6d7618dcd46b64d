"""The hint on how far a run is: there while it runs, gone at its end, never trusted."""

import json

import pytest

from attn_research import loop
from attn_research.config import Config, Population, edit
from attn_research.host import heartbeat, layout
from attn_research.host.exits import DONE
from attn_research.host.heartbeat import Beat, Heartbeat
from attn_research.host.progress import Progress, duration, spread, summary

TINY = {
    "task": "recall(length=16,pairs=2,vocabulary=16)",
    "model.width": 8,
    "model.layers": 1,
    "train.batch": 4,
    "train.steps": 6,
    "train.eval_every": 3,
    "train.eval_batches": 1,
    "train.test_batches": 1,
}


def test_a_run_tells_its_phases_and_leaves_nothing(tmp_path, monkeypatch):
    told = []

    def write(self):
        told.append(self.beat)
        real(self)
        assert heartbeat.read(tmp_path / "run") == self.beat

    real = Heartbeat._write
    monkeypatch.setattr(Heartbeat, "_write", write)
    config = edit(Config(), TINY)
    assert loop.run(config, Population(seed=(0, 1)), tmp_path / "run") == DONE
    phases = list(dict.fromkeys(beat.phase for beat in told))
    assert phases == ["compiling", "training", "testing", "decoding"]
    assert not (tmp_path / "run" / layout.PROGRESS).exists()
    (three, six) = (beat for beat in told if beat.phase == "training" and beat.scores)
    assert (three.step, six.step, six.steps, six.metric) == (3, 6, 6, "accuracy")
    assert six.left == 0 and three.left > 0 and len(six.scores) == 3


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "\x00\xff",
        "[" * 100_000,
        '{"phase": "training"}',
        '{"phase": "resting", "since": 0}',
        '{"phase": "training", "since": "now"}',
        '{"phase": "training", "since": 0, "scores": 3}',
        '{"phase": "training", "since": 0, "more": 3}',
        '{"phase": "training", "since": 0, "step": 1e999}',
        '{"phase": ["training"], "since": 0}',
    ],
)
def test_what_is_torn_or_foreign_is_no_news(tmp_path, text):
    (tmp_path / layout.PROGRESS).write_text(text)
    assert heartbeat.read(tmp_path) is None


def test_a_disk_that_refuses_stops_no_run(tmp_path):
    (tmp_path / layout.PROGRESS).mkdir()
    with Heartbeat(tmp_path, 10) as beat:
        beat.phase("training")
        beat.tell(step=3)
    assert heartbeat.read(tmp_path) is None


def test_news_within_a_second_are_written_together(tmp_path):
    with Heartbeat(tmp_path, 10) as beat:
        beat.phase("training")
        first = json.loads(beat.path.read_text())
        beat._written += 3600  # no second passes
        beat.tell(step=1)
        assert json.loads(beat.path.read_text()) == first
        beat.tell(step=2, scores=(0.5, 0.25, 0.0))
        known = heartbeat.read(tmp_path)
        assert known == Beat(*beat.beat) and known.step == 2
        assert known.scores == (0.5, 0.25, 0.0)


def test_progress_tells_the_time_that_is_left(tmp_path):
    with Heartbeat(tmp_path, 100) as beat:
        with Progress("x", 100, 20, "loss", "min", beat=beat) as progress:
            progress.began -= 40.0
            progress.step(60)
            assert beat.beat.left == pytest.approx(40.0, rel=0.01)
            progress.evaluated(60, [3.0, float("nan"), 1.0, 2.0], "4 running")
        assert beat.beat.scores == (1.0, 2.0, 3.0)


def test_numbers_in_words():
    assert summary(spread([0.1, 0.3, 0.2], "max")) == "0.3 / 0.2 / 0.1"
    assert summary(spread([float("inf")], "min")) == "none finite"
    said = [duration(seconds) for seconds in (0.4, 99, 99.6, 5969, 5971, 36_000)]
    assert said == ["0 s", "99 s", "2 min", "99 min", "1.7 h", "10.0 h"]
