"""The layers of a model: front end, stem, the repeated pattern, a last norm."""

import math
from collections.abc import Iterator

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.config import Model
from attn_research.modules import pattern
from attn_research.modules.block import Block
from attn_research.modules.contract import Carry, Cost, parameters
from attn_research.modules.frontends import Frontend
from attn_research.modules.layers import Layers, Repeated
from attn_research.modules.norm import Norm
from attn_research.modules.shortening import every, shortened
from attn_research.modules.sizes import Sizes
from attn_research.ops.dropout import dropout
from attn_research.options import BadInput


class Trunk(nnx.Module):
    """Inputs to x_BTD: front end, stem, the layers of the pattern, a last norm.

    A trunk that `reads` has cross-attention to a context in every layer.
    """

    def __init__(
        self, model: Model, sizes: Sizes, *, reads: bool = False, rngs: nnx.Rngs
    ):
        # A causal model keeps every position: it decodes token by token.
        self.strides = None if sizes.causal else model.strides
        sizes = sizes._replace(length=shortened(sizes.length, self.strides))
        self.model, self.sizes = model, sizes
        self.frontend = Frontend(
            inputs=sizes.inputs,
            features=sizes.features,
            width=model.width,
            positions=model.positions,
            length=sizes.length,
            spread=model.spread,
            strides=self.strides,
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
                    f"model.layers is {model.layers}, it must be a multiple"
                )
            groups: list[Layers | Repeated] = [
                Layers(stem, model, sizes, reads=reads, rngs=rngs),
                Repeated(repeats, period, model, sizes, reads=reads, rngs=rngs),
            ]
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
        """x_BTD; `context` is context_BSD and its segments, for a trunk that reads.

        With strides there are fewer positions, with the segments from `positions`.
        """
        keys, place_key = [None] * (len(self.groups) + 1), None
        if key is not None:
            keys = list(jax.random.split(key, len(self.groups) + 1))
            place_key = jax.random.fold_in(key, len(keys))
        x_BTD = self.embedded(inputs, segments_BT, place_key)
        segments_BT = self.positions(segments_BT)
        x_BTD = dropout(x_BTD, self.model.embed_dropout, keys[-1])
        for group, group_key in zip(self.groups, keys[:-1], strict=True):
            x_BTD = group(x_BTD, segments_BT, group_key, *context)
        return x_BTD if self.norm is None else self.norm(x_BTD)

    def embedded(
        self,
        inputs: jax.Array,
        segments_BT: jax.Array | None = None,
        key: jax.Array | None = None,
    ) -> jax.Array:
        """x_BTD, the input of the first layer; `key` draws positions, see `spread`."""
        dtype = jnp.dtype(self.model.dtype)
        return self._normed(self.frontend(inputs, segments_BT, dtype, key))

    def positions(self, segments_BT: jax.Array | None) -> jax.Array | None:
        """The segments of the positions inside the layers."""
        return every(segments_BT, math.prod(self.strides or (1,)))

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
        shortening = self.frontend.shortening
        below = shortening.flops(length) if shortening else 0
        length = shortened(length, self.strides)
        costs = [block.cost(length) for block in self.blocks()]
        return Cost(
            params=parameters(self),
            flops=below + sum(cost.flops for cost in costs),
            state_bytes=sum(cost.state_bytes for cost in costs),
        )

    def reach(self, length: int) -> int:
        """How many tokens back an output depends on: the layers' reaches, summed."""
        return min(length, sum(block.reach(length) for block in self.blocks()))

    def _normed(self, x: jax.Array) -> jax.Array:
        return x if self.embed_norm is None else self.embed_norm(x)
