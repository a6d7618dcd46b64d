"""What is evaluated of a finite split is a draw of it, the same every time."""

from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import numpy as np

from attn_research.tasks.contract import Batch
from attn_research.training.predictions import evaluation_batch

COUNT = 1000


class Sorted:
    """A split of two classes, the second stored behind the first."""

    spec = SimpleNamespace(finite=True)

    def count(self, split: Any, arrays: Any) -> Any:
        return jnp.int32(COUNT)

    def examples(self, index_B: Any, split: Any, arrays: Any) -> Batch:
        class_B = (index_B >= COUNT // 2).astype(jnp.int32)
        ones_B1 = jnp.ones((len(index_B), 1))
        return Batch(
            index_B[:, None], class_B, jnp.ones(len(index_B)), ones_B1, class_B
        )


def batch(index: int, size: int = 64) -> Batch:
    return evaluation_batch(Sorted(), jnp.int32(1), jnp.int32(index), size, ())  # type: ignore


def test_the_first_batches_of_a_sorted_split_have_its_classes():
    """Of 256 rows 128 are expected of each, with a deviation of 8."""
    ones = sum(int(batch(index).targets.sum()) for index in range(4))
    assert 96 <= ones <= 160


def test_every_example_has_weight_once():
    seen: list[int] = []
    for index in range(-(-COUNT // 64)):
        one = batch(index)
        real_B = np.asarray(one.weights) > 0
        seen += np.asarray(one.inputs)[real_B, 0].tolist()
    assert sorted(seen) == list(range(COUNT))
