"""Every task trains a model of every family, and is tested with it."""

import jax
import numpy as np
import pytest

from attn_research import hypers, loop, tasks
from attn_research.config import Config, Model, Population, Train
from attn_research.host import exits, layout
from attn_research.training import population, program
from tests.tasks.specs import SMALL

pytestmark = pytest.mark.usefixtures("data_sets")
ONE = Population()
# One of each kind of model, target and split.
KINDS = (
    "adding",
    "question_answering",
    "translation",
    "captioning",
    "image_classification",
    "spoken_strings",
    "forecasting",
    "parity",
)
# What options make another kind of: written by a decoder, told apart, packed.
MORE = (
    "spoken_strings(samples=1600,words=3,writes=true)",
    "classification(data=gap,length=90,grams=3)",
    "translation(source_length=99,length=99,pairs=3)",
)


def config(spec: str, pattern: str) -> Config:
    model = Model(pattern=pattern, layers=2, width=8)
    few = Train(
        steps=2, batch=3, eval_every=2, eval_batches=1, test_batches=1, decode=2
    )
    return program.resolve(Config(spec, model, few))


@pytest.mark.parametrize("name", KINDS)
def test_a_program_fits_every_kind_of_task(name):
    """Traced, not compiled: the shapes of a step and of an evaluation agree."""
    whole = config(SMALL[name], "conv")
    made = program.make(whole, population.mesh())
    count = population.mesh().size
    hypers_P = jax.tree.map(lambda leaf: np.repeat(leaf, count), hypers.grid(ONE))
    arrays = made.task.arrays()
    members = jax.eval_shape(made.init, hypers_P, {})
    after = jax.eval_shape(made.advance, members, (arrays, np.int32(1)))
    same = jax.tree.map(lambda a, b: (a.shape, a.dtype) == (b.shape, b.dtype), *(
        members, after
    ))  # fmt: skip
    assert all(jax.tree.leaves(same))
    sums = jax.eval_shape(made.evaluate, members, (arrays, np.bool_(True)))
    assert sums.total_R.shape[0] == count


@pytest.mark.slow
@pytest.mark.parametrize("pattern", ["dense(heads=2)", "linear,gru", "conv,mamba"])
@pytest.mark.parametrize("spec", [*SMALL.values(), *MORE])
def test_every_task_is_trained_and_tested(spec, pattern, tmp_path):
    whole = config(spec, pattern)
    assert loop.run(whole, ONE, tmp_path / "run") == exits.DONE
    result = layout.read_result(tmp_path / "run")
    assert result is not None
    (member,) = result["members"]
    want = tasks.make(whole.task).spec
    assert set(member["test"]) == set(want.metrics)
    assert np.isfinite(list(member["test"].values())).all()
    assert set(member["by_group"]["name"]) <= set(want.groups)
    assert bool(member["by_group"]["name"]) == bool(want.groups)
