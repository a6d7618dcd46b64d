"""The contract of a mixer, and the projection that all mixers are built from.

A mixer is built as `Mixer(options, width=D, causal=..., length=..., rngs=...)` with a
frozen dataclass of its own as `options`. It holds parameters only (float32) and
computes in the dtype of its input; states and softmax accumulate in float32.

`segments_BT` carries padding and packing at once: 0 is padding, 1, 2, ... are packed
sequences, each contiguous; positions and states restart in every segment, no segment
sees another, and the output at padding is exactly zero. None means one full segment.
"""

import dataclasses
import functools
import inspect
import math
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, get_type_hints

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.ops.explained import adopt
from attn_research.options import INT_MAX, BadInput, explained, whole

Carry = Any


class Cost(NamedTuple):
    """The cost of a mixer for one sequence.

    `params` counts its parameters, `flops` two for each multiply-add of a forward pass
    over the sequence; `state_bytes` is the size of the float32 decoding carry (0 if it
    cannot decode).
    """

    params: int
    flops: int
    state_bytes: int


@dataclasses.dataclass(frozen=True)
class Preset:
    """A mixer of the table: a class, and options with other defaults.

    `help` of a preset shows what its mixer computes, and its options.
    """

    module: Any
    Options: Any

    def __post_init__(self) -> None:
        about = inspect.getdoc(self.module) or ""
        said = f"{about}\n\n{_head(self.Options)}{explained(self.Options)}"
        object.__setattr__(self, "__doc__", said)
        adopt(self.module, Mixer)

    def __call__(self, options: Any, **sizes: Any) -> "Mixer":
        """The mixer of these `options`, an object of `Options`.

        `sizes` are the `width`, `causal`, `length` and `rngs` that each mixer takes.
        Raises `BadInput` if one of them, or an option, is out of bounds.
        """
        return self.module(options, **sizes)


def _head(options: Any) -> str:
    """What a class of options says of the mixer, without the list of options."""
    said = (inspect.getdoc(options) or "").partition("Options:\n")[0].strip()
    return f"{said}\n\n" if said and not said.startswith("Options of") else ""


def preset(module: Any, options: Any = None, /, **defaults: Any) -> Preset:
    """`module` as an entry of `MIXERS` with these defaults.

    `options` chooses a type of options for a mixer that has several.
    """
    options = options or module.Options
    if not defaults:
        return Preset(module, options)
    fields = {field.name: field for field in dataclasses.fields(options)}
    hints = get_type_hints(options)
    changed = [
        (
            name,
            hints[name],
            dataclasses.field(default=value, metadata=fields[name].metadata),
        )
        for name, value in defaults.items()
    ]
    named = dataclasses.make_dataclass(
        options.__name__, changed, bases=(options,), frozen=True
    )
    named.__doc__ = f"{_head(options)}{explained(named)}"
    return Preset(module, named)


def dynamics(value: jax.Array, rate: float = 0.1) -> nnx.Param:
    """A parameter that sets how a state evolves: a lower rate and no weight decay."""
    return nnx.Param(value, rate=rate)


def checked(init: Callable[..., None]) -> Callable[..., None]:
    """Checks the options and sizes that a mixer is built with, before it is built.

    Raises `BadInput` unless `width` and `length` are whole numbers of at least 1,
    `causal` is True or False, and the options are an object of options. The mixer then
    knows its `width`.
    """

    @functools.wraps(init)
    def built(self: Any, options: Any, **given: Any) -> None:
        name = type(self).__name__
        if not dataclasses.is_dataclass(options) or isinstance(options, type):
            raise BadInput(
                f"The options of {name} are {options!r}; they must be an object such "
                "as Options()"
            )
        for size in ("width", "length"):
            value = given.get(size, 1)
            if not whole(value) or not 1 <= value <= INT_MAX:
                raise BadInput(
                    f"The {size} of {name} is {value!r}; it must be a whole number "
                    f"from 1 to {INT_MAX}"
                )
        if not isinstance(given.get("causal", True), bool):
            raise BadInput(
                f"causal of {name} is {given['causal']!r}; it must be True or False"
            )
        init(self, options, **given)
        self.width = given["width"]

    return built


class Mixer(Protocol):
    """What a mixer offers; the laws of `attn_research.testing` hold for each."""

    causal: bool

    def __call__(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None = None
    ) -> jax.Array:
        """y_BTD, in the shape and dtype of `x_BTD`.

        `segments_BT` is 0 at padding, where y is 0, and 1, 2, ... in packed sequences,
        which do not see each other; None is one sequence in each row.
        """
        ...

    def start(self, batch: int, length: int, dtype: Any = jnp.float32) -> Carry:
        """The decoding state of `batch` rows before the first of `length` tokens.

        No more than `length` may follow. What the state keeps of tokens has the
        `dtype` that they will have; sums are float32.
        """
        ...

    def step(self, x_BD: jax.Array, carry: Carry) -> tuple[jax.Array, Carry]:
        """y_BD of one more token of each row, `x_BD`, and the `carry` after it.

        Token by token this equals the whole sequence at once.
        """
        ...

    def cost(self, length: int) -> Cost:
        """Parameters, FLOPs and bytes of state for a sequence of `length` tokens."""
        ...

    def reach(self, length: int) -> int:
        """How many tokens back an output can depend; `length` if on all of them."""
        ...


class MixerClass(Mixer, Protocol):
    """A class of mixers with its options."""

    Options: Any

    def __init__(
        self,
        options: Any,
        *,
        width: int,
        causal: bool,
        length: int,
        rngs: nnx.Rngs,
    ) -> None: ...


MixerType = type[MixerClass] | Preset


def both_ways_only(mixer: MixerType) -> bool:
    """Whether a mixer of the table has no causal form, as its class declares."""
    module = mixer.module if isinstance(mixer, Preset) else mixer
    return getattr(module, "both_ways_only", False)


class Projection(nnx.Module):
    """y = x @ kernel (+ bias): the last axis from `size_in` to `size_out`.

    The kernel starts normal with variance scale / size_in, and is cast to x's dtype.
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


def parameters(module: Any) -> int:
    """The number of parameters of a module."""
    return sum(leaf.size for leaf in jax.tree.leaves(nnx.state(module, nnx.Param)))


def cost_of(mixer: Mixer, length: int, products: int) -> Cost:
    """The cost of a mixer that makes `products` multiply-adds over `length` tokens."""
    carry = jax.eval_shape(lambda: mixer.start(1, length)) if mixer.causal else ()
    return Cost(parameters(mixer), 2 * products, carry_bytes(carry))


def everything(mixer: Any, length: int) -> int:
    """`length`: the reach of a mixer whose outputs depend on the whole past."""
    return length


def carry_bytes(carry: Carry) -> int:
    """The size of a carry in bytes; works on shapes (`jax.eval_shape`) too."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(carry))
