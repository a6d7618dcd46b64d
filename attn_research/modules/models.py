"""Models from a pattern of mixers: `LM` (a head per position) and `Encoder` (pooled).

A model is built from `config.Model` and the sizes of its task:

    model = build(config.model, Sizes(inputs="tokens", features=256, outputs=256,
                                      length=1024, causal=True))
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.config import Model
from attn_research.functional import Functional, functional
from attn_research.modules.contract import Carry, Cost, Projection, parameters
from attn_research.modules.trunk import Sizes, Trunk


def build(model: Model, sizes: Sizes) -> Functional:
    """The model as pure functions; `LM` or, for a target per sequence, `Encoder`."""
    return functional(constructor(model, sizes))


def constructor(model: Model, sizes: Sizes) -> Callable[..., "LM | Encoder"]:
    """A function of `rngs` that builds the module."""
    cls = Encoder if sizes.per_sequence else LM
    return lambda rngs: cls(model, sizes, rngs=rngs)


def cost(model: Model, sizes: Sizes) -> Cost:
    """The cost of one sequence of the model's length; allocates nothing."""
    build_module = constructor(model, sizes)
    module = nnx.eval_shape(lambda: build_module(rngs=nnx.Rngs(0)))
    return module.cost(sizes.length)


class Head(nnx.Module):
    """x to float32 outputs, by a matrix of its own or by the token table."""

    def __init__(self, width: int, outputs: int, *, tied: bool, rngs: nnx.Rngs):
        own = None if tied else Projection(width, outputs, rngs=rngs, bias=True)
        self.matrix = own

    def __call__(self, x: jax.Array, table_VD: jax.Array | None) -> jax.Array:
        if self.matrix is not None:
            return self.matrix(x).astype(jnp.float32)
        assert table_VD is not None
        return jnp.matmul(
            x, table_VD.T.astype(x.dtype), preferred_element_type=jnp.float32
        )


def tied(model: Model, sizes: Sizes) -> bool:
    """Whether the head can be, and is to be, the token table."""
    same = sizes.inputs == "tokens" and sizes.outputs == sizes.features
    return model.tied and same


class LM(nnx.Module):
    """A trunk and a head per position: token logits or real values."""

    def __init__(self, model: Model, sizes: Sizes, *, rngs: nnx.Rngs):
        self.trunk = Trunk(model, sizes, rngs=rngs)
        self.tied = tied(model, sizes)
        self.head = Head(model.width, sizes.outputs, tied=self.tied, rngs=rngs)

    def _out(self, x: jax.Array) -> jax.Array:
        table = self.trunk.frontend.table.get_value() if self.tied else None
        return self.head(x, table)

    def __call__(
        self,
        inputs: jax.Array,
        segments_BT: jax.Array | None = None,
        key: jax.Array | None = None,
    ) -> jax.Array:
        """Outputs at every position, BTV; `key` draws dropout, None is without."""
        return self._out(self.trunk(inputs, segments_BT, key))

    def at(
        self,
        inputs: jax.Array,
        index_BL: jax.Array,
        segments_BT: jax.Array | None = None,
        key: jax.Array | None = None,
    ) -> jax.Array:
        """Outputs at the positions `index_BL` only, BLV."""
        x_BTD = self.trunk(inputs, segments_BT, key)
        x_BLD = jnp.take_along_axis(x_BTD, index_BL[:, :, None], axis=1)
        return self._out(x_BLD)

    def start(self, batch: int, length: int) -> Carry:
        """The decoding state before the first of at most `length` positions."""
        return self.trunk.start(batch, length)

    def step(self, inputs: jax.Array, carry: Carry) -> tuple[jax.Array, Carry]:
        """Outputs BV after one more token_B (or values_BF), and the next carry."""
        x_BD, carry = self.trunk.step(inputs, carry)
        return self._out(x_BD), carry

    def cost(self, length: int) -> Cost:
        """Parameters of all, FLOPs with the head at every position, state bytes."""
        return _with_head(self, self.trunk, self.trunk.sizes.outputs, length, length)


class Encoder(nnx.Module):
    """A trunk, the mean over the positions of each sequence, and a head."""

    def __init__(self, model: Model, sizes: Sizes, *, rngs: nnx.Rngs):
        self.trunk = Trunk(model, sizes, rngs=rngs)
        self.head = Head(model.width, sizes.outputs, tied=False, rngs=rngs)

    def __call__(
        self,
        inputs: jax.Array,
        segments_BT: jax.Array | None = None,
        key: jax.Array | None = None,
    ) -> jax.Array:
        """Outputs BV of each row."""
        return self.head(self.pooled(inputs, segments_BT, key), None)

    def pooled(
        self,
        inputs: jax.Array,
        segments_BT: jax.Array | None = None,
        key: jax.Array | None = None,
    ) -> jax.Array:
        """x_BD: the mean over each row, in float32; padding (segment 0) is left out."""
        x_BTD = self.trunk(inputs, segments_BT, key)
        real_BT = jnp.ones(x_BTD.shape[:2], x_BTD.dtype)
        if segments_BT is not None:
            real_BT = (segments_BT > 0).astype(x_BTD.dtype)
        total_BD = jnp.einsum(
            "BTD,BT->BD", x_BTD, real_BT, preferred_element_type=jnp.float32
        )
        count_B1 = jnp.maximum(
            jnp.sum(real_BT, axis=1, dtype=jnp.float32), jnp.float32(1)
        )[:, None]
        return total_BD / count_B1

    def cost(self, length: int) -> Cost:
        """Parameters of all, FLOPs with the head once, no decoding state."""
        return _with_head(self, self.trunk, self.trunk.sizes.outputs, length, 1)


def _with_head(
    module: nnx.Module, trunk: Trunk, outputs: int, length: int, heads: int
) -> Cost:
    cost = trunk.cost(length)
    flops = cost.flops + 2 * trunk.model.width * outputs * heads
    return Cost(parameters(module), flops, cost.state_bytes)
