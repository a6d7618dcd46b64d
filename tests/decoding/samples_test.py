"""What the models of whole runs write, of every kind of task that has texts."""

import dataclasses
from operator import itemgetter

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_research import checkpoint, loop
from attn_research.config import Population, edit
from attn_research.decoding import judging
from attn_research.host import layout
from attn_research.tasks.data import packed
from attn_research.training import population, program
from tests.parameters import drawn
from tests.train_test import SMALL, result


def tiny(task, **more):
    changes = {"task": task, "model.pattern": "conv", "model.layers": 1}
    return edit(SMALL, {**changes, "train.steps": 6, **more})


def test_the_best_member_of_a_run_writes(data_sets, tmp_path):
    config = tiny("translation(source_length=12,length=10)", **{"train.decode": 6})
    assert loop.run(config, Population(lr=(1e-6, 0.1)), tmp_path / "run") == 0
    found = result(tmp_path / "run")
    bits = [one["validation"]["bits_per_byte"] for one in found["members"]]
    made, _, arrays = initial(config)
    each = [
        judging.decoded(
            made, jax.tree.map(itemgetter(m), kept(tmp_path / "run")), arrays
        )
        for m in range(2)
    ]
    # From the checkpoint again: a run that was killed as it wrote writes the same.
    assert each[np.argmin(bits)]["decoded"] == found["decoded"]
    assert each[0] != each[1]
    originals = packed.load("tico19")["test"]["en"]
    told = found["decoded"]
    assert told["examples"] == 6 and len(told["samples"]) == 6
    starts = {row[:12].tobytes().decode(errors="replace") for row in originals}
    for sample in told["samples"]:
        assert sample["source"] in starts
        assert sample.keys() == {"source", "reference", "text"}
    assert "exact_match" in told["metrics"]
    assert any("not read" in note for note in found["notes"])


@pytest.mark.parametrize(
    ("task", "metrics", "columns"),
    [
        ("text(path={0},length=12)", set(), {"prompt", "text"}),
        ("captioning(frames=4,side=36)", {"exact_match"}, {"reference", "text"}),
        (
            "spoken_strings(samples=960,words=2)",
            {"exact_match", "error_rate"},
            {"reference", "text"},
        ),
        (
            "spoken_strings(samples=960,words=2,writes=true)",
            {"exact_match"},
            {"reference", "text"},
        ),
        ("image_classification(form=patches)", None, None),
    ],
)
def test_every_kind_of_text_is_told(task, metrics, columns, data_sets, tmp_path):
    (tmp_path / "letters").write_bytes(b"abc def " * 200)
    made, params, arrays = initial(tiny(task.format(tmp_path / "letters")))
    found = judging.decoded(made, params, arrays)
    if metrics is None:
        assert found == {}
        return
    assert found["decoded"]["metrics"].keys() >= metrics
    assert found["decoded"]["samples"][0].keys() == columns
    assert found == judging.decoded(made, params, arrays)


def kept(directory):
    """The parameters of all members as the checkpoint has them."""
    return checkpoint.read(directory / layout.CHECKPOINTS, ["params"])[1]["params"]


def initial(config):
    """The program of a config, parameters that it starts from, and its data."""
    made = program.make(program.resolve(config), population.mesh())
    params = jax.device_put(drawn(made.model, deviation=0.3))
    return made, params, jax.tree.map(jnp.asarray, made.task.arrays())


def test_what_is_written_goes_in_no_circles(data_sets):
    spec = "summarisation(source_length=60,length=40,unrepeated=2)"
    made, params, arrays = initial(tiny(spec))
    batch = made.task.batch(jax.random.key(0), "test", 8, arrays)
    written = jax.jit(
        lambda: judging.written(
            made.task.spec, made.model, params, batch, jax.random.key(0)
        )
    )
    for row in np.asarray(written().text_BT).tolist():
        told = bytes(row).partition(b"\0")[0]
        pairs = [told[i : i + 2] for i in range(len(told) - 1)]
        assert len(pairs) > 10 and len(set(pairs)) == len(pairs)


def test_what_does_not_fit_is_not_decoded(data_sets, monkeypatch):
    made, params, arrays = initial(tiny("captioning(frames=4,side=36)"))
    monkeypatch.setattr(judging.memory, "available", lambda device: 10**6)
    found = judging.decoded(made, params, arrays)["decoded"]
    assert found["examples"] == 0 and found["samples"] == []
    assert "Decoding needs about" in found["notes"][0]
    none = dataclasses.replace(made.config.train, decode=0)
    config = dataclasses.replace(made.config, train=none)
    assert judging.decoded(made._replace(config=config), params, arrays) == {}
