"""The head of a model: a matrix of its own, or the token table."""

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.config import Model
from attn_research.modules.contract import Projection
from attn_research.modules.sizes import Sizes


class Head(nnx.Module):
    """x to float32 outputs, by a matrix of its own or by the token table."""

    def __init__(self, width: int, outputs: int, *, tied: bool, rngs: nnx.Rngs):
        self.matrix = None if tied else Projection(width, outputs, rngs=rngs, bias=True)

    def __call__(self, x: jax.Array, table_VD: jax.Array | None) -> jax.Array:
        if self.matrix is not None:
            return self.matrix(x).astype(jnp.float32)
        assert table_VD is not None
        return jnp.matmul(
            x, table_VD.T.astype(x.dtype), preferred_element_type=jnp.float32
        )


def tied(model: Model, sizes: Sizes) -> bool:
    """Whether the head is the token table: if the model is tied and they fit."""
    same = sizes.inputs == "tokens" and sizes.outputs == sizes.features
    return model.tied and same
