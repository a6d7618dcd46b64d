"""What a batch is asked with is checked in every task, before anything is computed."""

import jax
import numpy as np
import pytest

from attn_research import tasks
from attn_research.options import BadInput
from tests.tasks.specs import SMALL

pytestmark = pytest.mark.usefixtures("data_sets")
KEY = jax.random.key(0)
WRONG = [
    ((0, "train", 4), "The key of the batch is 0; it must be jax.random.key"),
    ((None, "train", 4), "The key of the batch is None; it must be"),
    ((jax.random.split(KEY), "train", 4), "it must be jax.random.key"),
    ((np.zeros(2, np.float32), "train", 4), "it must be jax.random.key"),
    ((KEY, "train", 0), "The size of the batch is 0; it must be a whole number"),
    ((KEY, "train", -1), "The size of the batch is -1; it must be a whole number"),
    ((KEY, "test", 1.5), "The size of the batch is 1.5; it must be a whole number"),
    ((KEY, "test", "4"), "The size of the batch is '4'; it must be a whole number"),
]


@pytest.mark.parametrize("spec", SMALL.values())
def test_every_task_checks_its_key_size_and_arrays(spec):
    task = tasks.make(spec)
    arrays = task.arrays()
    for given, words in WRONG:
        with pytest.raises(BadInput) as refused:
            task.batch(*given, arrays)  # type: ignore
        assert words in str(refused.value)
    if jax.tree.leaves(arrays):
        for none in ((), None):
            with pytest.raises(BadInput, match="must be task.arrays()"):
                task.batch(KEY, "test", 4, none)


def test_a_key_of_raw_bits_is_one():
    task = tasks.make(SMALL["copying"])
    raw = task.batch(jax.random.PRNGKey(0), "train", 2)
    typed = task.batch(KEY, "train", 2)
    np.testing.assert_array_equal(raw.inputs, typed.inputs)
