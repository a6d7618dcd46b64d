"""Blocks one after another, as they are or repeated by one compiled loop."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
from flax import nnx

from attn_research.config import Model
from attn_research.modules import pattern
from attn_research.modules.block import Block
from attn_research.modules.contract import Carry
from attn_research.modules.cross import Cross
from attn_research.modules.sizes import Sizes


class Layers(nnx.Module):
    """Blocks one after another, with the same context for each if there is one."""

    def __init__(
        self,
        chosen: Sequence[pattern.Layer],
        model: Model,
        sizes: Sizes,
        *,
        reads: bool = False,
        rngs: nnx.Rngs,
    ):
        mixer = partial(
            pattern.mixer,
            width=model.width,
            causal=sizes.causal,
            length=sizes.length,
            rngs=rngs,
        )
        self.model = model
        self.blocks = nnx.List(
            Block(
                [mixer(stage) for stage in layer],
                model,
                rngs=rngs,
                cross=_cross(model, sizes, rngs) if reads else None,
            )
            for layer in chosen
        )

    def __call__(
        self,
        x_BTD: jax.Array,
        segments_BT: jax.Array | None,
        key: jax.Array | None,
        *context: jax.Array | None,
    ) -> jax.Array:
        keys = [None] * len(self.blocks)
        if key is not None:
            keys = list(jax.random.split(key, len(self.blocks)))
        call = nnx.remat(Block.__call__) if self.model.remat else Block.__call__
        for block, block_key in zip(self.blocks, keys, strict=True):
            x_BTD = call(block, x_BTD, segments_BT, block_key, *context)
        return x_BTD

    def start(
        self, batch: int, length: int, dtype: Any, *context: jax.Array | None
    ) -> Carry:
        """The decoding state of every block."""
        return [block.start(batch, length, dtype, *context) for block in self.blocks]

    def step(self, x_BD: jax.Array, carry: Carry) -> tuple[jax.Array, Carry]:
        """x_BD after every block, and the next carries."""
        carries = []
        for block, state in zip(self.blocks, carry, strict=True):
            x_BD, state = block.step(x_BD, state)
            carries.append(state)
        return x_BD, carries


class Repeated(nnx.Module):
    """The same layers with `count` sets of parameters, run by one compiled loop.

    Every parameter has a leading axis over the repeats.
    """

    def __init__(
        self,
        count: int,
        chosen: Sequence[pattern.Layer],
        model: Model,
        sizes: Sizes,
        *,
        reads: bool = False,
        rngs: nnx.Rngs,
    ):
        def one(key: jax.Array) -> Layers:
            return Layers(chosen, model, sizes, reads=reads, rngs=nnx.Rngs(key))

        def parameters_of(key: jax.Array) -> Any:
            return nnx.state(one(key))

        self.count = count
        graph, abstract = nnx.split(nnx.eval_shape(lambda: one(jax.random.key(0))))
        drawn_N = jax.vmap(parameters_of)(jax.random.split(rngs.params(), count))
        values = dict(nnx.to_flat_state(drawn_N))
        stacked = [
            (path, nnx.Param(values[path].get_value(), stacked=1, **_declared(leaf)))
            for path, leaf in nnx.to_flat_state(abstract)
        ]
        self.layers = nnx.merge(graph, nnx.from_flat_state(stacked))

    def one(self, index: int) -> Layers:
        """The layers of one repeat."""
        graph, state = nnx.split(self.layers)
        return nnx.merge(graph, jax.tree.map(lambda leaf: _row(leaf, index), state))

    def __call__(
        self,
        x_BTD: jax.Array,
        segments_BT: jax.Array | None,
        key: jax.Array | None,
        *context: jax.Array | None,
    ) -> jax.Array:
        graph, state_N = nnx.split(self.layers)
        keys_N = None if key is None else jax.random.split(key, self.count)

        def body(x_BTD: jax.Array, inputs: Any) -> tuple[jax.Array, None]:
            state, one_key = inputs
            layers = nnx.merge(graph, state)
            return layers(x_BTD, segments_BT, one_key, *context), None

        return jax.lax.scan(body, x_BTD, (state_N, keys_N))[0]

    def start(
        self, batch: int, length: int, dtype: Any, *context: jax.Array | None
    ) -> Carry:
        """The decoding states of the repeats, on a leading axis."""
        graph, state_N = nnx.split(self.layers)
        return jax.lax.map(
            lambda state: nnx.merge(graph, state).start(batch, length, dtype, *context),
            state_N,
        )

    def step(self, x_BD: jax.Array, carry: Carry) -> tuple[jax.Array, Carry]:
        """x_BD after every repeat, and the next carries."""
        graph, state_N = nnx.split(self.layers)

        def body(x_BD: jax.Array, inputs: Any) -> tuple[jax.Array, Carry]:
            state, one_carry = inputs
            return nnx.merge(graph, state).step(x_BD, one_carry)

        return jax.lax.scan(body, x_BD, (state_N, carry))


def _row(leaf: Any, index: int) -> Any:
    """One row of an array, or of the shape of one."""
    if isinstance(leaf, jax.ShapeDtypeStruct):
        return jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype)
    return leaf[index]


def _cross(model: Model, sizes: Sizes, rngs: nnx.Rngs) -> Cross:
    """Attention to the context, with the most heads up to 4 that divide the width."""
    count = max(h for h in (1, 2, 4) if model.width % h == 0)
    options = Cross.Options(heads=count)
    return Cross(options, width=model.width, length=sizes.length, rngs=rngs)


def _declared(variable: Any) -> dict[str, Any]:
    """What a parameter was declared with beside its value."""
    declared = variable.get_metadata()
    names = ("rate", "rows")
    return {name: declared[name] for name in names if declared.get(name) is not None}
