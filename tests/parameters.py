"""Parameters of models for tests, drawn without compiling anything."""

import jax
import numpy as np

from attn_research.transfer import trunk


def drawn(model, seed: int = 0, members: tuple[int, ...] = (), deviation: float = 1.0):
    """Parameters, none like another, with a leading axis where there are members."""
    draw = np.random.default_rng(seed)

    def one(leaf):
        values = draw.normal(size=(*members, *leaf.shape), scale=deviation)
        return values.astype(leaf.dtype)

    return jax.tree.map(one, trunk.shapes(model))
