"""Models from a pattern of mixers: `LM` (a head per position) and `Encoder` (pooled).

A model is built from `config.Model` and the sizes of its task:

    model = build(config.model, inputs="tokens", features=256, outputs=256,
                  length=1024, causal=True, per_sequence=False)
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.config import Model
from attn_research.functional import Functional, functional
from attn_research.modules import MIXERS
from attn_research.modules.block import Block
from attn_research.modules.contract import Carry, Cost, Projection, parameters
from attn_research.modules.frontends import Frontend
from attn_research.modules.norm import Norm
from attn_research.ops.dropout import dropout
from attn_research.options import build as build_options
from attn_research.options import parse, spell, split, unknown


class Sizes(NamedTuple):
    """What the task fixes of a model; see `tasks.Spec` for the meaning of each."""

    inputs: Literal["tokens", "values"]
    features: int
    outputs: int
    length: int
    causal: bool
    per_sequence: bool = False


def layers(pattern: str) -> list[tuple[str, Any]]:
    """The mixers of a pattern as (name, options); raises `BadInput`."""
    chosen = []
    for spec in split(pattern):
        name, options = parse(spec)
        if name not in MIXERS:
            raise unknown("mixer", name, MIXERS)
        chosen.append((name, build_options(MIXERS[name].Options, options, name)))
    return chosen


def resolve(pattern: str) -> str:
    """The pattern with every option written out."""
    return ",".join(spell(name, options) for name, options in layers(pattern))


def brief(pattern: str) -> str:
    """The pattern with only the options that differ from their defaults."""
    shown = []
    for name, options in layers(pattern):
        default = type(options)()
        given = {
            field.name: getattr(options, field.name)
            for field in dataclasses.fields(options)
            if getattr(options, field.name) != getattr(default, field.name)
        }
        shown.append(spell(name, given))
    return ",".join(shown)


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


class Trunk(nnx.Module):
    """Inputs to x_BTD: front end, the layers of the pattern, a last normalisation."""

    def __init__(self, model: Model, sizes: Sizes, *, rngs: nnx.Rngs):
        self.model, self.sizes = model, sizes
        self.frontend = Frontend(
            inputs=sizes.inputs,
            features=sizes.features,
            width=model.width,
            positions=model.positions,
            length=sizes.length,
            rngs=rngs,
        )
        pattern = layers(model.pattern)
        self.blocks = nnx.List(
            Block(
                MIXERS[name](
                    options,
                    width=model.width,
                    causal=sizes.causal,
                    length=sizes.length,
                    rngs=rngs,
                ),
                width=model.width,
                mlp=model.mlp,
                mlp_ratio=model.mlp_ratio,
                norm=model.norm,
                dropout=model.dropout,
                rngs=rngs,
            )
            for name, options in (
                pattern[i % len(pattern)] for i in range(model.layers)
            )
        )
        self.norm = Norm(model.width, kind=model.norm, rngs=rngs)

    def __call__(
        self,
        inputs: jax.Array,
        segments_BT: jax.Array | None = None,
        key: jax.Array | None = None,
    ) -> jax.Array:
        x_BTD = self.frontend(inputs, segments_BT, jnp.dtype(self.model.dtype))
        keys = [None] * (len(self.blocks) + 1)
        if key is not None:
            keys = list(jax.random.split(key, len(self.blocks) + 1))
        x_BTD = dropout(x_BTD, self.model.embed_dropout, keys[-1])
        call = nnx.remat(Block.__call__) if self.model.remat else Block.__call__
        for block, block_key in zip(self.blocks, keys, strict=False):
            x_BTD = call(block, x_BTD, segments_BT, block_key)
        return self.norm(x_BTD)

    def start(self, batch: int, length: int) -> Carry:
        """The decoding state of every layer, and the position."""
        dtype = jnp.dtype(self.model.dtype)
        carries = [block.start(batch, length, dtype) for block in self.blocks]
        return {"layers": carries, "position": jnp.zeros((batch,), jnp.int32)}

    def step(self, inputs: jax.Array, carry: Carry) -> tuple[jax.Array, Carry]:
        """x_BD of one position (tokens_B or values_BF) and the next carry."""
        x_BD = self.frontend.embed(inputs)
        if self.model.positions != "none":
            x_BD = x_BD + self.frontend.at(carry["position"])
        x_BD = x_BD.astype(jnp.dtype(self.model.dtype))
        carries = []
        for block, state in zip(self.blocks, carry["layers"], strict=True):
            x_BD, state = block.step(x_BD, state)
            carries.append(state)
        return self.norm(x_BD), {"layers": carries, "position": carry["position"] + 1}

    def cost(self, length: int) -> Cost:
        """The sum over the layers; `params` counts the whole trunk."""
        costs = [block.cost(length) for block in self.blocks]
        state_bytes = sum(cost.state_bytes for cost in costs)
        return Cost(
            params=parameters(self),
            flops=sum(cost.flops for cost in costs),
            state_bytes=state_bytes,
        )


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


class LM(nnx.Module):
    """A trunk and a head per position: token logits or real values."""

    def __init__(self, model: Model, sizes: Sizes, *, rngs: nnx.Rngs):
        self.trunk = Trunk(model, sizes, rngs=rngs)
        self.tied = (
            model.tied and sizes.inputs == "tokens" and sizes.outputs == sizes.features
        )
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
        """Outputs BV of each row; padding (segment 0) does not count in the mean."""
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
        return self.head(total_BD / count_B1, None)

    def cost(self, length: int) -> Cost:
        """Parameters of all, FLOPs with the head once, no decoding state."""
        return _with_head(self, self.trunk, self.trunk.sizes.outputs, length, 1)


def _with_head(
    module: nnx.Module, trunk: Trunk, outputs: int, length: int, heads: int
) -> Cost:
    cost = trunk.cost(length)
    flops = cost.flops + 2 * trunk.model.width * outputs * heads
    return Cost(parameters(module), flops, cost.state_bytes)
