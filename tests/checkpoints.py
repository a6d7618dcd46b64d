"""Trees to save, and directories in which they are saved."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from attn_research.checkpoint import Writer


class Pair(NamedTuple):
    left: jax.Array
    right: jax.Array


def tree(step: int = 0) -> dict:
    """Every kind of leaf and node, different at every step."""
    return {
        "weights": jnp.arange(6.0).reshape(2, 3) + step,
        "half": jnp.full((3,), step, jnp.bfloat16),
        "flags": jnp.array([True, False]),
        "raw": jnp.arange(2, dtype=jnp.uint32),
        "complex": jnp.ones((2,), jnp.complex64) * step,
        "scalar": jnp.int32(step),
        "none": jnp.zeros((0, 3)),
        "nested": [Pair(jnp.ones(1), jnp.zeros(2)), {"0": jnp.ones(3), "10": -step}],
    }


def shapes(value):
    return jax.eval_shape(lambda: value)


def same(a, b) -> bool:
    """Whether two trees are equal in structure, dtype and bits."""
    if jax.tree.structure(a) != jax.tree.structure(b):
        return False
    raw = [
        [np.asarray(jax.random.key_data(x) if _typed(x) else x) for x in leaves]
        for leaves in (jax.tree.leaves(a), jax.tree.leaves(b))
    ]
    return all(
        x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()
        for x, y in zip(*raw, strict=True)
    )


def _typed(leaf) -> bool:
    return isinstance(leaf, jax.Array) and jnp.issubdtype(
        leaf.dtype, jax.dtypes.prng_key
    )


def population_of(model, count: int):
    """Parameters of `count` members, drawn without compiling anything."""
    draw = np.random.default_rng(0)
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    return jax.tree.map(
        lambda leaf: draw.normal(size=(count, *leaf.shape)).astype(leaf.dtype), shapes
    )


def saved(directory, *numbers, keep=2):
    with Writer(directory, keep) as writer:
        for number in numbers:
            writer.save(number, {"a": tree(number)}, {"best": number})
        assert writer.wait() == numbers[-1]
