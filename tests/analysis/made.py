"""Restored models that no run has trained."""

from typing import Any

import jax
import numpy as np

from attn_research.checkpoint import Restored
from attn_research.config import Config, replace
from attn_research.modules.models import Sizes, build

WIDTH, LENGTH, VOCABULARY = 8, 9, 16
TOKENS = (np.arange(LENGTH) * 7 + 3) % VOCABULARY


def restored(pattern: str, *, causal: bool = True, length=LENGTH, **more: Any):
    """A model of tokens with this pattern, once, its parameters drawn without JAX.

    `more` are fields of `Model`.
    """
    chosen = {"pattern": pattern, "width": WIDTH, "layers": 1, **more}
    config = replace(Config(), {f"model.{name}": x for name, x in chosen.items()})
    sizes = Sizes("tokens", VOCABULARY, VOCABULARY, length, causal)
    model = build(config.model, sizes)
    draw = np.random.default_rng(0)
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    params = jax.tree.map(
        lambda leaf: draw.normal(size=leaf.shape, scale=0.5).astype(leaf.dtype), shapes
    )
    return Restored(config, {"seed": 0}, model, params, 0)


def with_zeros(of: Restored, *names: str) -> Restored:
    """The model with every parameter under one of these names at zero."""

    def changed(path: Any, leaf: Any) -> Any:
        parts = {getattr(part, "key", None) for part in path}
        return np.zeros_like(leaf) if parts & set(names) else leaf

    return of._replace(params=jax.tree_util.tree_map_with_path(changed, of.params))
