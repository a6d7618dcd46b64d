"""The contract of a mixer, and the one projection every mixer is made of.

A mixer is built as `Mixer(options, width=D, causal=..., rngs=...)` where `options` is
its own frozen dataclass. It holds parameters only (float32) and computes in the dtype
of its input; states and softmax accumulate in float32.

`segments_BT` carries padding and packing at once: 0 is padding, 1, 2, ... are packed
sequences, each contiguous; positions and states restart in every segment, no segment
sees another, and the output at padding is exactly zero. None means one full segment.
"""

import dataclasses
import math
from typing import Any, NamedTuple, Protocol, get_type_hints

import jax
import jax.numpy as jnp
from flax import nnx

Carry = Any


class Cost(NamedTuple):
    """What a mixer costs for one sequence of a given length.

    `params` counts its parameters, `flops` the multiply-adds of one forward pass over
    the sequence, times two; `state_bytes` is the size of the float32 decoding carry
    (0 for a mixer that cannot decode).
    """

    params: int
    flops: int
    state_bytes: int


@dataclasses.dataclass(frozen=True)
class Preset:
    """A mixer of the table: its class, and its options with defaults of their own."""

    module: Any
    Options: type

    def __call__(self, options: Any, **sizes: Any) -> "Mixer":
        return self.module(options, **sizes)


def preset(module: Any, **defaults: Any) -> Preset:
    """`module` under a name of its own in `MIXERS`, where these are the defaults."""
    fields = {field.name: field for field in dataclasses.fields(module.Options)}
    hints = get_type_hints(module.Options)
    changed = [
        (
            name,
            hints[name],
            dataclasses.field(default=value, metadata=fields[name].metadata),
        )
        for name, value in defaults.items()
    ]
    options = dataclasses.make_dataclass(
        module.Options.__name__,
        changed,
        bases=(module.Options,),
        frozen=True,
    )
    return Preset(module, options)


def dynamics(value: jax.Array, rate: float = 0.1) -> nnx.Param:
    """A parameter that sets how a state evolves: trained slower, never decayed."""
    return nnx.Param(value, rate=rate)


class Mixer(Protocol):
    """What every entry of `MIXERS` offers; the laws in tests/laws.py hold for it."""

    causal: bool

    def __call__(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None = None
    ) -> jax.Array:
        """y_BTD, in the shape and dtype of the input."""
        ...

    def start(self, batch: int, length: int, dtype: Any = jnp.float32) -> Carry:
        """The decoding state before the first of at most `length` tokens."""
        ...

    def step(self, x_BD: jax.Array, carry: Carry) -> tuple[jax.Array, Carry]:
        """y_BD and the next carry; equals the parallel form, token by token."""
        ...

    def cost(self, length: int) -> Cost:
        """The cost of a sequence of `length` tokens."""
        ...

    def reach(self, length: int) -> int:
        """How many tokens back an output can depend; `length` where it sees all."""
        ...


class Projection(nnx.Module):
    """y = x @ kernel (+ bias): the last axis from `size_in` to `size_out`.

    The kernel is drawn with variance scale / size_in and cast to the dtype of x.
    """

    def __init__(
        self,
        size_in: int,
        size_out: int,
        *,
        rngs: nnx.Rngs,
        bias: bool = False,
        scale: float = 1.0,
    ):
        kernel = jax.random.normal(rngs.params(), (size_in, size_out), jnp.float32)
        self.kernel = nnx.Param(kernel * math.sqrt(scale / size_in))
        self.bias = nnx.Param(jnp.zeros(size_out, jnp.float32)) if bias else None

    def __call__(self, x: jax.Array) -> jax.Array:
        # One plain matrix product: XLA's fast path on CPU, forward and backward.
        kernel = self.kernel.get_value().astype(x.dtype)
        y = (x.reshape(-1, x.shape[-1]) @ kernel).reshape(
            *x.shape[:-1], kernel.shape[1]
        )
        if self.bias is not None:
            y = y + jnp.expand_dims(
                self.bias.get_value().astype(x.dtype), tuple(range(y.ndim - 1))
            )
        return y


def parameters(module: nnx.Module) -> int:
    """The number of parameters a module holds."""
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(module, nnx.Param)))


def carry_bytes(carry: Carry) -> int:
    """The size of a carry in bytes; works on shapes (`jax.eval_shape`) too."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(carry))
