"""Rows that the host sends give the bits of a text that lies on the devices."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_research import checkpoint, loop, tasks, trees
from attn_research.analysis import subject
from attn_research.config import Config, Population, edit
from attn_research.host import exits, layout
from attn_research.host.journal import read_journal
from attn_research.loop import feed
from attn_research.options import BadInput
from attn_research.tasks import text
from attn_research.tasks.parts import windows
from attn_research.training.population import mesh
from attn_research.training.predictions import evaluation_batch
from attn_research.training.program import resolve
from tests.train_test import ask_to_stop_at, assert_same_bits, params, result

FOUR = Population(seed=(3, 1), lr=(1e-3, 1e-2))


@pytest.fixture
def folder(tmp_path):
    draw = np.random.default_rng(0)
    (tmp_path / "text").mkdir()
    for name in range(30):
        words = draw.choice(["ant", "bee", "cat", "dog", "\n", "é"], 200)
        (tmp_path / "text" / f"{name}.txt").write_text(" ".join(words))
    return tmp_path / "text"


def of(folder, task="text", **more) -> Config:
    return edit(
        Config(),
        {
            "task": f"{task}(path={folder},length=16)",
            "model.pattern": "conv",
            "model.width": 8,
            "model.layers": 1,
            "train.batch": 4,
            "train.steps": 14,
            "train.eval_every": 6,
            "train.eval_batches": 3,
            "train.test_batches": 2,
            "train.checkpoint_every": 6,
            **more,
        },
    )


def assert_same_run(one, other):
    """All bits but the bytes of the program, which holds the text in one way only."""
    assert_same_bits(params(one), params(other))
    told = [{**result(run), "peak_bytes": 0} for run in (one, other)]
    assert told[0] == told[1]
    logs = [read_journal(run / layout.METRICS) for run in (one, other)]
    assert logs[0] == logs[1] != []


def data(config: Config, where: str) -> Config:
    return edit(config, {"train.data": where})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"task": "masked_text"},
        {"train.distinct_batches": 4},
        {"train.accumulate": 2},
        {"train.execution": "vmap"},
        {"train.mesh": "data=2"},
    ],
    ids=lambda changes: ",".join(changes) or "plain",
)
def test_both_ways_give_the_same_bits(changes, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(feed, "STEPS", 5)  # blocks end within and at evaluations
    sent = []
    read = windows.read
    monkeypatch.setattr(windows, "read", lambda *a: sent.append(a[2]) or read(*a))
    config = of(folder, **changes)
    for where in ("device", "host"):
        directory = tmp_path / where / "run"
        assert loop.run(data(config, where), FOUR, directory) == exits.DONE
        assert bool(sent) == (where == "host")
    assert_same_run(tmp_path / "device" / "run", tmp_path / "host" / "run")
    # Three blocks of training, one of validation, one of the test, one to be continued.
    assert sent.count("train") == 3 and sent.count("validation") == 1
    assert sent.count("test") == 2 - (changes.get("task") == "masked_text")
    assert result(tmp_path / "host" / "run")["data"] != ""


def test_a_run_goes_on_in_the_other_way(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(feed, "STEPS", 5)
    config = of(folder)
    whole, parts = tmp_path / "whole" / "run", tmp_path / "parts" / "run"
    assert loop.run(data(config, "device"), FOUR, whole) == exits.DONE
    for where, stop in (("host", 4), ("device", 8), ("host", 11)):
        with monkeypatch.context() as asked:
            ask_to_stop_at(asked, stop)
            assert loop.run(data(config, where), FOUR, parts) == exits.REQUEUE
    assert loop.run(data(config, "host"), FOUR, parts) == exits.DONE
    assert_same_run(whole, parts)


def opened(folder, population=FOUR, **more) -> feed.Sent:
    config = resolve(of(folder, **{"train.data": "host", **more}))
    fed = feed.opened(config, population, tasks.make(config.task))
    assert isinstance(fed, feed.Sent)
    fed.place(mesh())
    return fed


def test_the_next_block_is_read_beside_the_present_one(folder, monkeypatch):
    monkeypatch.setattr(feed, "STEPS", 5)
    fed, readers = opened(folder), []
    second, read = threading.Event(), windows.read

    def slow(*arguments):
        readers.append(threading.current_thread())
        if len(readers) == 2:
            assert second.wait(20)
        return read(*arguments)

    monkeypatch.setattr(windows, "read", slow)
    first = fed.steps(0)  # returns although the second block is not read
    assert [fed.most(step) for step in (0, 3, 4, 5)] == [5, 2, 1, 5]
    assert fed.steps(3) is first
    second.set()
    later = fed.steps(5)
    assert later is not first and fed.steps(9) is later
    fed.steps(10)  # the last one: no step follows it
    fed.steps(13)
    assert len(readers) == 3 and threading.main_thread() not in readers
    assert fed._keys._cache_size() == 1  # not a program for each block


def test_members_of_a_seed_share_rows_and_every_step_has_its_own(folder):
    many = Population(seed=(7, 2), lr=(1e-3, 2e-3, 3e-3))
    fed = opened(folder, many)
    sent = fed.steps(0)["text"]
    assert sent.row_NBT.shape == (2 * 14, 4, 17) and sent.row_NBT.dtype == np.uint8
    assert len(np.unique(np.asarray(sent.key_N2), axis=0)) == 28
    assert jax.tree.map(lambda leaf: leaf.shape, sent) == jax.tree.map(
        lambda leaf: leaf.shape, fed.shapes["text"]
    )
    few = opened(folder, Population(seed=(7,)), **{"train.test_batches": 40})
    assert few.judged(True)["text"].row_NBT.shape == (40, 4, 17)
    assert few.judged(False)["text"].row_NBT.shape == (40, 4, 17)


def test_a_text_that_changes_during_a_run_ends_it(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(feed, "STEPS", 2)
    evaluated = loop._evaluated

    def touched(*arguments):
        for path in folder.iterdir():
            os.utime(path, ns=(0, 1))
        return evaluated(*arguments)

    monkeypatch.setattr(loop, "_evaluated", touched)
    with pytest.raises(BadInput, match=r"\d+.txt has changed while it was read"):
        loop.run(data(of(folder), "host"), FOUR, tmp_path / "run")


def test_the_host_sends_what_is_too_large_for_a_device(folder, monkeypatch):
    config = resolve(of(folder))
    task = tasks.make(config.task)
    size = len(task.arrays()["text"].values_L)
    for free, kind in ((None, feed.Held), (4 * size, feed.Held),
                       (4 * size - 4, feed.Sent)):  # fmt: skip
        monkeypatch.setattr(feed.memory, "available", lambda device, free=free: free)
        fed = feed.opened(config, FOUR, task)
        assert isinstance(fed, kind)
        assert trees.digest(fed.content) == trees.digest(task.arrays())
        held = feed.opened(data(config, "device"), FOUR, task)
        assert isinstance(held, feed.Held)
    monkeypatch.setattr(feed, "INT_MAX", size - 1)
    monkeypatch.setattr(feed.memory, "available", lambda device: None)
    assert isinstance(feed.opened(config, FOUR, task), feed.Sent)


@pytest.mark.parametrize("task", ["recall", "text(subwords=300)", "code"])
def test_only_a_text_of_bytes_can_stay_in_its_files(task):
    config = edit(Config(), {"task": task, "train.data": "host"})
    with pytest.raises(BadInput, match="train.data is host, and .* must be auto or"):
        resolve(config)


def test_what_was_trained_does_not_depend_on_the_way(folder, tmp_path):
    config = data(of(folder), "host")
    assert loop.run(config, FOUR, tmp_path / "run") == exits.DONE
    before = params(tmp_path / "run")
    assert loop.run(data(config, "device"), FOUR, tmp_path / "run") == exits.DONE
    assert_same_bits(before, params(tmp_path / "run"))


@pytest.mark.parametrize("task", ["text", "masked_text"])
def test_a_run_of_a_text_beyond_int32_is_analysed(task, folder, tmp_path, monkeypatch):
    config = of(folder, task)
    assert loop.run(config, Population(), tmp_path / "run") == exits.DONE
    restored = checkpoint.load(tmp_path / "run")
    whole = tasks.make(restored.config.task)
    arrays = jax.device_put(whole.arrays())
    place, number = jnp.int32(2), jnp.int32(0)
    want = evaluation_batch(whole, place, number, 6, arrays)
    key = jax.random.fold_in(jax.random.key(0), 0)
    first = whole.batch(key, "train", subject.TOGETHER, arrays)

    def refuse(_):
        raise BadInput("too large")

    monkeypatch.setattr(text.Text, "arrays", refuse)
    with pytest.raises(BadInput, match="too large"):
        whole.arrays()
    looked_at = subject.of_split(restored, "test", 6, 16)
    assert looked_at.inputs_B.shape == (6, 16)
    assert looked_at.batch is not None
    assert_same_bits(looked_at.batch, want)
    assert_same_bits(next(looked_at.training()), first)


SIZE = 20 * 10**9
PROSE = b"The quick brown fox jumps over the lazy dog; so does the vixen.\n" * 100


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_text_of_20_gigabytes_is_trained_on_in_less_than_one(tmp_path):
    """Zeros that take no room on the disk, with prose here and there."""
    path = tmp_path / "corpus.txt"
    with open(path, "wb") as file:
        file.truncate(SIZE)
        for part in range(100):
            file.seek(part * (SIZE // 100))
            file.write(PROSE)
    assert path.stat().st_blocks * 512 < 10**7
    train = [
        str(Path(sys.executable).with_name("attn-research")),
        "train",
        f"--task=text(path={path},length=256)",
        "--model.pattern=conv",
        "--model.width=16",
        "--train.batch=16",
        "--train.steps=300",
        "--train.eval_every=100",
    ]
    began = time.monotonic()
    refused = subprocess.run(
        [*train, f"--out={tmp_path / 'device'}", "--train.data=device"],
        capture_output=True,
        text=True,
    )
    assert refused.returncode == exits.BAD_INPUT
    assert "20,000,000,000 bytes; it must be at most 2,147,483,647" in refused.stderr
    assert time.monotonic() - began < 60  # nothing of it was read
    child = subprocess.Popen([*train, f"--out={tmp_path / 'host'}"])
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == exits.DONE
    assert used.ru_maxrss * 1024 < 10**9
    told = layout.read_result(tmp_path / "host")
    assert told is not None and told["members"][0]["step"] == 300
