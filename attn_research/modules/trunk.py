"""The layers of a model: front end, stem, the repeated pattern, a last norm."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.config import Model
from attn_research.modules import pattern
from attn_research.modules.block import Block
from attn_research.modules.contract import Carry, Cost, parameters
from attn_research.modules.cross import Cross
from attn_research.modules.frontends import Frontend
from attn_research.modules.norm import Norm
from attn_research.ops.dropout import dropout
from attn_research.options import BadInput


class Sizes(NamedTuple):
    """What the task fixes of a model; see `tasks.Spec` for the meaning of each."""

    inputs: Literal["tokens", "values"]
    features: int
    outputs: int
    length: int
    causal: bool
    per_sequence: bool = False


class Layers(nnx.Module):
    """Blocks one after another; each is given the same context, where there is one."""

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

    def __init__(self, count: int, *arguments: Any, rngs: nnx.Rngs, **keywords: Any):
        def one(key: jax.Array) -> Layers:
            return Layers(*arguments, rngs=nnx.Rngs(key), **keywords)

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


class Trunk(nnx.Module):
    """Inputs to x_BTD: front end, stem, the layers of the pattern, a last norm.

    A trunk that `reads` has cross-attention to a context in every layer.
    """

    def __init__(
        self, model: Model, sizes: Sizes, *, reads: bool = False, rngs: nnx.Rngs
    ):
        self.model, self.sizes = model, sizes
        self.frontend = Frontend(
            inputs=sizes.inputs,
            features=sizes.features,
            width=model.width,
            positions=model.positions,
            length=sizes.length,
            spread=model.spread,
            rngs=rngs,
        )
        self.embed_norm = (
            Norm(model.width, kind=model.norm, rngs=rngs) if model.embed_norm else None
        )
        stem = pattern.layers(model.stem) if model.stem else []
        period = pattern.layers(model.pattern)
        if model.scan:
            repeats, rest = divmod(model.layers, len(period))
            if rest:
                raise BadInput(
                    f"A scan repeats the whole pattern of {len(period)} layers; "
                    f"model.layers is {model.layers}, a multiple is allowed"
                )
            groups = [Layers(stem, model, sizes, reads=reads, rngs=rngs)]
            groups.append(
                Repeated(repeats, period, model, sizes, reads=reads, rngs=rngs)  # type: ignore
            )
        else:
            repeated = [period[i % len(period)] for i in range(model.layers)]
            groups = [Layers([*stem, *repeated], model, sizes, reads=reads, rngs=rngs)]
        self.groups = nnx.List(groups)
        # A post-norm stream leaves its last layer normalised.
        self.norm = (
            Norm(model.width, kind=model.norm, rngs=rngs)
            if model.norm_at == "pre"
            else None
        )

    def __call__(
        self,
        inputs: jax.Array,
        segments_BT: jax.Array | None = None,
        key: jax.Array | None = None,
        *context: jax.Array | None,
    ) -> jax.Array:
        """x_BTD; `context` is context_BSD and its segments, for a trunk that reads."""
        dtype = jnp.dtype(self.model.dtype)
        keys, place_key = [None] * (len(self.groups) + 1), None
        if key is not None:
            keys = list(jax.random.split(key, len(self.groups) + 1))
            place_key = jax.random.fold_in(key, len(keys))
        x_BTD = self._normed(self.frontend(inputs, segments_BT, dtype, place_key))
        x_BTD = dropout(x_BTD, self.model.embed_dropout, keys[-1])
        for group, group_key in zip(self.groups, keys[:-1], strict=True):
            x_BTD = group(x_BTD, segments_BT, group_key, *context)
        return x_BTD if self.norm is None else self.norm(x_BTD)

    def start(self, batch: int, length: int, *context: jax.Array | None) -> Carry:
        """The decoding state of every layer, and the position."""
        dtype = jnp.dtype(self.model.dtype)
        carries = [group.start(batch, length, dtype, *context) for group in self.groups]
        stride = jnp.full((batch,), self.frontend.stride(length), jnp.int32)
        position = jnp.zeros((batch,), jnp.int32)
        return {"layers": carries, "position": position, "stride": stride}

    def step(self, inputs: jax.Array, carry: Carry) -> tuple[jax.Array, Carry]:
        """x_BD of one position (tokens_B or values_BF) and the next carry."""
        x_BD = self.frontend.embed(inputs)
        if self.model.positions != "none":
            x_BD = x_BD + self.frontend.at(carry["position"])
        x_BD = self._normed(x_BD.astype(jnp.dtype(self.model.dtype)))
        carries = []
        for group, state in zip(self.groups, carry["layers"], strict=True):
            x_BD, state = group.step(x_BD, state)
            carries.append(state)
        x_BD = x_BD if self.norm is None else self.norm(x_BD)
        after = carry["position"] + carry["stride"]
        return x_BD, {**carry, "layers": carries, "position": after}

    def blocks(self) -> Iterator[Block]:
        """Every layer from the first up, with its own parameters."""
        for group in self.groups:
            if isinstance(group, Repeated):
                for index in range(group.count):
                    yield from group.one(index).blocks
            else:
                yield from group.blocks

    def cost(self, length: int) -> Cost:
        """The sum over the layers; `params` counts the whole trunk."""
        costs = [block.cost(length) for block in self.blocks()]
        return Cost(
            params=parameters(self),
            flops=sum(cost.flops for cost in costs),
            state_bytes=sum(cost.state_bytes for cost in costs),
        )

    def reach(self, length: int) -> int:
        """How many tokens back an output depends on: the layers' reaches, summed."""
        return min(length, sum(block.reach(length) for block in self.blocks()))

    def _normed(self, x: jax.Array) -> jax.Array:
        return x if self.embed_norm is None else self.embed_norm(x)


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
    rate = variable.get_metadata().get("rate")
    return {} if rate is None else {"rate": rate}
