"""Models from a pattern of mixers: `LM` (a head per position) and `Encoder` (pooled).

A model is built from `config.Model` and the sizes of its task:

    model = build(config.model, Sizes(inputs="tokens", features=256, outputs=256,
                                      length=1024, causal=True))
"""

from collections.abc import Callable
from functools import lru_cache

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.config import Model
from attn_research.modules.contract import Carry, Cost, parameters
from attn_research.modules.directions import without_padding
from attn_research.modules.head import Head, tied
from attn_research.modules.seq2seq import EncoderDecoder
from attn_research.modules.shortening import shortened
from attn_research.modules.sizes import Sizes
from attn_research.modules.trunk import Trunk
from attn_research.options import INT_MAX, BadInput, whole
from attn_research.pure import Functional, functional


def build(model: Model, sizes: Sizes) -> Functional:
    """The model as pure functions.

    `EncoderDecoder` if it reads a source, `Encoder` for one target per sequence, `LM`
    for a target per position.
    """
    return functional(constructor(model, sizes))


def constructor(
    model: Model, sizes: Sizes
) -> Callable[..., "LM | Encoder | EncoderDecoder"]:
    """A function of `rngs` that builds the module."""
    check(model, sizes)
    source = sizes.source
    if source is not None:
        return lambda rngs: EncoderDecoder(model, source, sizes, rngs=rngs)
    cls = Encoder if sizes.per_sequence else LM
    return lambda rngs: cls(model, sizes, rngs=rngs)


def check(model: Model, sizes: Sizes) -> None:
    """Raises `BadInput` if a model cannot have these sizes."""
    for value, kind in ((model, Model), (sizes, Sizes)):
        if not isinstance(value, kind):
            raise BadInput(f"{value!r} is given; it must be a {kind.__name__}")
    for name in ("inputs", "source_inputs"):
        if getattr(sizes, name) not in ("tokens", "values"):
            raise BadInput(
                f"Sizes.{name} is {getattr(sizes, name)!r}; it must be tokens or values"
            )
    for name, least in (
        ("features", 1),
        ("outputs", 1),
        ("length", 1),
        ("source_features", 0),
        ("source_length", 1 if sizes.source_features else 0),
    ):
        value = getattr(sizes, name)
        if not whole(value) or not least <= value <= INT_MAX:
            raise BadInput(
                f"Sizes.{name} is {value!r}; it must be a whole number from {least} to "
                f"{INT_MAX}"
            )


@lru_cache(maxsize=256)  # most cells of a study share their model
def cost(model: Model, sizes: Sizes) -> Cost:
    """The cost of one sequence of the model's length; allocates nothing."""
    build_module = constructor(model, sizes)
    module = nnx.eval_shape(lambda: build_module(rngs=nnx.Rngs(0)))
    return module.cost(sizes.length)


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
        """Outputs at every position, BTV, in the model's dtype.

        `inputs` are tokens_BT or values_BTF; `segments_BT` is 0 at padding and 1, 2,
        ... in packed sequences, None for one sequence in each row; `key` draws dropout,
        None applies none.
        """
        return self._out(self.trunk(inputs, segments_BT, key))

    def at(
        self,
        inputs: jax.Array,
        index_BL: jax.Array,
        segments_BT: jax.Array | None = None,
        key: jax.Array | None = None,
    ) -> jax.Array:
        """Outputs at the positions `index_BL` only, BLV.

        `inputs`, `segments_BT` and `key` are those of a call.
        """
        x_BTD = self.trunk(inputs, segments_BT, key)
        x_BLD = jnp.take_along_axis(x_BTD, index_BL[:, :, None], axis=1)
        return self._out(x_BLD)

    def start(self, batch: int, length: int) -> Carry:
        """The decoding state of `batch` rows before the first of `length` tokens."""
        return self.trunk.start(batch, length)

    def step(self, inputs: jax.Array, carry: Carry) -> tuple[jax.Array, Carry]:
        """Outputs BV after one more token of each row, and the `carry` after it.

        `inputs` are token_B or values_BF.
        """
        x_BD, carry = self.trunk.step(inputs, carry)
        return self._out(x_BD), carry

    def cost(self, length: int) -> Cost:
        """Cost of one sequence of `length` tokens, with the head at every position."""
        places = shortened(length, self.trunk.strides)
        return _with_head(self, self.trunk, self.trunk.sizes.outputs, length, places)


class Encoder(nnx.Module):
    """A trunk, a pool over the positions of each sequence, and a head.

    With `rescale` the sequence of real values is standardised, and the output has the
    mean and scale of the input again (Kim et al., 2022, reversible instance
    normalisation).
    """

    def __init__(self, model: Model, sizes: Sizes, *, rngs: nnx.Rngs):
        if model.rescale and (sizes.inputs, sizes.features) != ("values", 1):
            raise BadInput(
                f"model.rescale is true and the task gives {sizes.inputs} of "
                f"{sizes.features}; they must be real values of one channel"
            )
        self.trunk = Trunk(model, sizes, rngs=rngs)
        self.length = sizes.length
        places = self.trunk.sizes.length if model.pool == "all" else 1
        self.head = Head(model.width * places, sizes.outputs, tied=False, rngs=rngs)

    def __call__(
        self,
        inputs: jax.Array,
        segments_BT: jax.Array | None = None,
        key: jax.Array | None = None,
    ) -> jax.Array:
        """Outputs BV, one for each row.

        `inputs` are tokens_BT or values_BTF; `segments_BT` is 0 at padding, None if
        there is none; `key` draws dropout, None applies none.
        """
        if not self.trunk.model.rescale:
            return self.head(self.pooled(inputs, segments_BT, key), None)
        inputs = without_padding(inputs, segments_BT)
        real_BT1 = _real(inputs, segments_BT)[..., None]
        mean_B11, deviation_B11 = moments(inputs, real_BT1)
        inputs = real_BT1 * (inputs - mean_B11) / deviation_B11
        outputs_BV = self.head(self.pooled(inputs, segments_BT, key), None)
        return outputs_BV * deviation_B11[:, 0] + mean_B11[:, 0]

    def pooled(
        self,
        inputs: jax.Array,
        segments_BT: jax.Array | None = None,
        key: jax.Array | None = None,
    ) -> jax.Array:
        """The input of the head for each row, without padding (segment 0).

        The mean over the positions in float32, x_BD; or the largest of each channel
        (Collobert & Weston, 2008); or the last position; or all of them, x_B(TD), with
        zeros at padding. `inputs`, `segments_BT` and `key` are those of a call.
        """
        x_BTD = self.trunk(inputs, segments_BT, key)
        real_BT = _real(x_BTD, self.trunk.positions(segments_BT))
        match self.trunk.model.pool:
            case "all":
                short = self.trunk.sizes.length - x_BTD.shape[1]
                x_BTD = x_BTD * real_BT[..., None]
                x_BTD = jnp.pad(x_BTD, ((0, 0), (0, short), (0, 0)))
                return x_BTD.reshape(x_BTD.shape[0], -1)
            case "max":
                # A row of padding only gives zeros.
                real_BT1 = real_BT[..., None] > 0
                lowest = jnp.finfo(x_BTD.dtype).min
                top_BD = jnp.max(jnp.where(real_BT1, x_BTD, lowest), axis=1)
                return jnp.where(jnp.any(real_BT1, axis=1), top_BD, 0)
            case "last":
                place_1T = jnp.arange(x_BTD.shape[1])[None]
                last_B = jnp.argmax(jnp.where(real_BT > 0, place_1T, -1), axis=1)
                return jnp.take_along_axis(x_BTD, last_B[:, None, None], axis=1)[:, 0]
            case _:
                total_BD = jnp.einsum(
                    "BTD,BT->BD", x_BTD, real_BT, preferred_element_type=jnp.float32
                )
                count_B = jnp.sum(real_BT, axis=1, dtype=jnp.float32)
                return total_BD / jnp.maximum(count_B, jnp.float32(1))[:, None]

    def cost(self, length: int) -> Cost:
        """Cost of one sequence of `length` tokens, with the head once."""
        places = self.trunk.sizes.length if self.trunk.model.pool == "all" else 1
        return _with_head(self, self.trunk, self.trunk.sizes.outputs, length, places)


def moments(values_BTF: jax.Array, real_BT1: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The mean and the deviation, at least 1e-5, of each row and channel, B1F each."""
    count_B11 = jnp.maximum(jnp.sum(real_BT1, axis=1, keepdims=True), 1)
    mean_B1F = jnp.sum(values_BTF * real_BT1, axis=1, keepdims=True) / count_B11
    apart_BTF = (values_BTF - mean_B1F) * real_BT1
    variance_B1F = jnp.sum(apart_BTF * apart_BTF, axis=1, keepdims=True) / count_B11
    return mean_B1F, jnp.sqrt(variance_B1F + jnp.float32(1e-10))


def _real(x: jax.Array, segments_BT: jax.Array | None) -> jax.Array:
    """BT, 1 at real positions and 0 at padding, in the dtype of x."""
    if segments_BT is None:
        return jnp.ones(x.shape[:2], x.dtype)
    return (segments_BT > 0).astype(x.dtype)


def _with_head(
    module: nnx.Module, trunk: Trunk, outputs: int, length: int, heads: int
) -> Cost:
    cost = trunk.cost(length)
    flops = cost.flops + 2 * trunk.model.width * outputs * heads
    return Cost(parameters(module), flops, cost.state_bytes)
