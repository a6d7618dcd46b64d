"""Parameters of models for tests, drawn without compiling anything."""

import jax
import numpy as np

from attn_research import transfer


def drawn(model, seed: int = 0, members: tuple[int, ...] = ()):
    """Parameters, none like another, with a leading axis where there are members."""
    draw = np.random.default_rng(seed)
    return jax.tree.map(
        lambda leaf: draw.normal(size=(*members, *leaf.shape)).astype(leaf.dtype),
        transfer.shapes(model),
    )
