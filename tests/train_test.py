"""Populations: resumed runs, solo runs and neighbours agree bit for bit."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from attn_research import checkpoint, loop
from attn_research.config import Config, Population, edit
from attn_research.host import exits, layout
from attn_research.host.journal import read_journal
from attn_research.modules import MIXERS
from attn_research.modules.contract import both_ways_only
from attn_research.options import BadInput

SMALL = edit(
    Config(),
    {
        "task": "recall(length=16,pairs=2,vocabulary=16)",
        "model.width": 8,
        "model.layers": 1,
        "train.batch": 4,
        "train.steps": 12,
        "train.eval_every": 6,
        "train.eval_batches": 1,
        "train.test_batches": 2,
        "train.checkpoint_every": 6,
    },
)
FOUR = Population(seed=(0, 1), lr=(1e-3, 1e-2))
TIMES = {
    "seconds",
    "compile_seconds",
    "steps_per_second",
    "step_seconds",
    "advance_seconds",
    "cell",
}


def of(pattern, **more):
    return edit(SMALL, {"model.pattern": pattern, **more})


def params(directory: Path):
    return checkpoint.read(directory / layout.CHECKPOINTS, ["params", "optimizer"])[1]


def result(directory: Path):
    found = layout.read_result(directory)
    assert found is not None
    return {name: value for name, value in found.items() if name not in TIMES}


def assert_same_bits(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


def assert_same_run(one: Path, other: Path):
    assert_same_bits(params(one), params(other))
    assert result(one) == result(other)
    metrics = layout.METRICS
    assert read_journal(one / metrics) == read_journal(other / metrics)


def ask_to_stop_at(monkeypatch, step: int, name=signal.SIGTERM):
    """A real signal to this process once the run has reached `step`."""
    before = loop.Progress.step

    def stop(self, reached):
        before(self, reached)
        if reached >= step:
            os.kill(os.getpid(), name)

    monkeypatch.setattr(loop.Progress, "step", stop)
    monkeypatch.setattr(loop, "DISPATCH", 1e-9)  # one step in each


def stopped_and_resumed(config, population, directory, monkeypatch):
    with monkeypatch.context() as patch:
        ask_to_stop_at(patch, 7)
        assert loop.run(config, population, directory) == exits.REQUEUE
    assert layout.read_result(directory) is None
    assert 0 < checkpoint.steps(directory / layout.CHECKPOINTS)[-1] < 12
    assert loop.run(config, population, directory) == exits.DONE


FAMILIES = ("dense", "linear", "lstm", "diagonal", "conv")
CAUSAL = tuple(name for name in MIXERS if not both_ways_only(MIXERS[name]))


@pytest.mark.parametrize(
    "mixers",
    [FAMILIES, pytest.param(CAUSAL, marks=pytest.mark.slow)],
    ids=["families", "all"],
)
def test_a_resumed_run_has_the_bits_of_an_uninterrupted_one(
    mixers, tmp_path, monkeypatch
):
    every = {"model.pattern": ",".join(mixers), "model.layers": len(mixers)}
    config = edit(SMALL, {**every, "train.keep": 0})
    assert loop.run(config, FOUR, tmp_path / "whole") == exits.DONE
    stopped_and_resumed(config, FOUR, tmp_path / "parts", monkeypatch)
    assert_same_run(tmp_path / "whole", tmp_path / "parts")
    assert checkpoint.steps(tmp_path / "whole" / layout.CHECKPOINTS) == [6, 12]
    assert len(checkpoint.steps(tmp_path / "parts" / layout.CHECKPOINTS)) == 3


@pytest.mark.parametrize(
    ("population", "changes"),
    [
        pytest.param(Population(), {}, marks=pytest.mark.slow),
        (
            FOUR,
            {
                "train.execution": "vmap",
                "train.distinct_batches": 3,
                "model.dropout": 0.1,
            },
        ),
        pytest.param(
            FOUR,
            {"model.dtype": "bfloat16", "model.remat": True, "model.mlp": "swiglu"},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            FOUR, {"model.width": 128, "train.batch": 32}, marks=pytest.mark.slow
        ),
    ],
    ids=["solo", "vmap-epochs-dropout", "bfloat16-remat", "mid-size"],
)
def test_every_way_of_running_resumes(population, changes, tmp_path, monkeypatch):
    config = of("dense", **changes)
    assert loop.run(config, population, tmp_path / "whole") == exits.DONE
    stopped_and_resumed(config, population, tmp_path / "parts", monkeypatch)
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


def test_members_equal_their_solo_runs(tmp_path):
    # In a process that writes loops as users' do: on that these bits hang.
    kept = [f for f in os.environ["XLA_FLAGS"].split() if "emitters" not in f]
    done = subprocess.run(
        [sys.executable, "-c", f"from {__name__} import solo; solo({str(tmp_path)!r})"],
        cwd=Path(__file__).parents[1],
        env=dict(os.environ, XLA_FLAGS=" ".join(kept)),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def solo(directory: str):
    config = of("lstm")
    everyone, one = (Path(directory, name) for name in ("all", "one"))
    loop.run(config, FOUR, everyone)
    loop.run(config, Population(seed=(1,), lr=(1e-2,)), one)
    assert_same_bits(jax.tree.map(lambda leaf: leaf[3:], params(everyone)), params(one))


@pytest.mark.parametrize(
    "execution", ["map", pytest.param("vmap", marks=pytest.mark.slow)]
)
def test_a_diverged_member_changes_no_bit_of_another(execution, tmp_path):
    config = of("dense", **{"train.execution": execution})
    sound = Population(lr=(1e-3, 1e-2, 3e-3))
    broken = Population(lr=(1e-3, 1e30, 3e-3))
    loop.run(config, sound, tmp_path / "sound")
    assert loop.run(config, broken, tmp_path / "broken") == exits.DONE
    for leaf, other in zip(
        jax.tree.leaves(params(tmp_path / "sound")),
        jax.tree.leaves(params(tmp_path / "broken")),
        strict=True,
    ):
        np.testing.assert_array_equal(leaf[[0, 2]], other[[0, 2]])
    members = result(tmp_path / "broken")["members"]
    assert [m["status"] for m in members] == ["done", "diverged", "done"]
    assert members[1]["step"] < 12
    assert all(
        np.isfinite(leaf).all() for leaf in jax.tree.leaves(params(tmp_path / "broken"))
    )


def test_when_all_diverge_the_run_says_so(tmp_path):
    code = loop.run(of("dense"), Population(lr=(1e30, 1e35)), tmp_path / "run")
    assert code == exits.ALL_DIVERGED
    assert loop.run(of("dense"), Population(lr=(1e30, 1e35)), tmp_path / "run") == code


def test_a_solved_member_stops_and_the_cell_ends(tmp_path):
    config = of("dense", **{"train.stop_at": 1e-9})
    assert loop.run(config, FOUR, tmp_path / "run") == exits.DONE
    members = result(tmp_path / "run")["members"]
    assert all(m["status"] in ("solved", "done") for m in members)
    solved = [m for m in members if m["status"] == "solved"]
    assert solved and all(m["solved_step"] == m["step"] for m in solved)


def test_metrics_hold_each_evaluation_and_member_once(tmp_path):
    loop.run(of("dense"), FOUR, tmp_path / "run")
    records = read_journal(tmp_path / "run" / layout.METRICS)
    keys = [(record["step"], record["member"]) for record in records]
    assert keys == [(step, member) for step in (6, 12) for member in range(4)]
    assert {"loss", "accuracy", "train_loss"} <= records[0].keys()


def test_a_done_run_is_not_run_again_and_another_is_refused(tmp_path, capsys):
    loop.run(of("dense"), FOUR, tmp_path / "run")
    before = (tmp_path / "run" / layout.RESULT).read_bytes()
    assert loop.run(of("dense"), FOUR, tmp_path / "run") == exits.DONE
    assert "nothing was run" in capsys.readouterr().out
    assert (tmp_path / "run" / layout.RESULT).read_bytes() == before
    with pytest.raises(BadInput, match="holds another run"):
        loop.run(of("dense"), Population(), tmp_path / "run")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(BadInput, match="not empty"):
        loop.run(of("dense"), FOUR, tmp_path / "other")


def test_the_flagfile_of_a_run_describes_it(tmp_path):
    loop.run(of("dense"), FOUR, tmp_path / "run")
    lines = (tmp_path / "run" / layout.FLAGFILE).read_text().splitlines()
    assert "--lr=0.001,0.01" in lines and "--model.width=8" in lines
    stored = json.loads((tmp_path / "run" / layout.CONFIG).read_text())
    assert f"--task={stored['config']['task']}" in lines


def test_too_much_memory_is_refused_before_it_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(loop.memory, "available", lambda device: 10**6)
    with pytest.raises(BadInput, match="GB are free"):
        loop.run(of("dense"), FOUR, tmp_path / "run")


@pytest.mark.parametrize(
    "change, said",
    [
        ({"model.width": 1_000_000}, "needs at least"),
        ({"model.width": 2**31 - 4}, "needs at least"),
        ({"train.batch": 2**27 - 1}, "needs at least"),
        ({"train.batch": 2**31 - 1}, "a batch must have at most 2147483647"),
    ],
)
def test_sizes_beyond_any_memory_are_refused_before_compilation(
    change, said, tmp_path, monkeypatch
):
    monkeypatch.setattr(jax, "jit", lambda *_, **__: pytest.fail("it compiles"))
    with pytest.raises(BadInput, match=said):
        loop.run(edit(SMALL, change), Population(), tmp_path / "run")


def test_another_environment_is_refused_unless_allowed(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        ask_to_stop_at(patch, 7)
        assert loop.run(of("dense"), FOUR, tmp_path / "run") == exits.REQUEUE
    facts = loop.environment.facts()
    monkeypatch.setattr(loop.environment, "facts", lambda: {**facts, "jax": "0.0.1"})
    with pytest.raises(BadInput, match="jax was .* and is '0.0.1'"):
        loop.run(of("dense"), FOUR, tmp_path / "run")
    code = loop.run(of("dense"), FOUR, tmp_path / "run", allow_inexact_resume=True)
    assert code == exits.DONE
