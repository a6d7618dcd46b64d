"""BaseConv: one convolution and one gate."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.modules import long_convolution as long
from attn_research.modules.contract import Cost, Projection, checked, cost_of
from attn_research.modules.directions import (
    backward,
    both_directions,
    passes,
    refuse_decoding,
    without_padding,
)
from attn_research.modules.segments import reading
from attn_research.modules.short_convolution import ShortConvolution
from attn_research.modules.stepping import stepping
from attn_research.ops.precision import wide
from attn_research.options import declared, option


@declared
class BaseConvOptions:
    """Options of the mixer `baseconv`."""

    filter: Literal["short", "long"] = option(
        "long", "Length of the kernel: a few taps, or the sequence."
    )
    conv: int = option(3, "Taps of a short kernel.", low=1, high=1024)
    hidden: int = long.hidden_option()
    bands: int = long.bands_option()
    frequency: float = long.frequency_option()
    implementation: long.Implementation | None = long.implementation_option()


class BaseConv(nnx.Module):
    """y = (W x + b_1) (kernel * x + b_2): one gate and one convolution.

    If not causal, a second one with its own weights runs from the end. A step with a
    long kernel costs O(T). Arora et al., 2023, arXiv:2312.04927, whose released code
    adds a learned multiple of x to the result of a long kernel; here, as in the paper's
    equation, there is none.
    """

    Options = BaseConvOptions

    @checked
    def __init__(
        self,
        options: BaseConvOptions,
        *,
        width: int,
        causal: bool,
        length: int,
        rngs: nnx.Rngs,
    ):
        self.options, self.causal = options, causal
        self.gate = Projection(width, width, rngs=rngs, bias=True)
        if options.filter == "short":
            self.conv = ShortConvolution(width, options.conv, active=False, rngs=rngs)
        else:
            sizes = options.hidden, options.bands, options.frequency
            filter = long.Filter(*sizes, options.implementation)
            self.conv = long.LongConvolution(width, filter, length=length, rngs=rngs)
        self.bias = nnx.Param(jnp.zeros(width, jnp.float32))
        self.backward = backward(
            BaseConv, options, causal=causal, width=width, length=length, rngs=rngs
        )

    @reading
    def __call__(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None = None
    ) -> jax.Array:
        return both_directions(self._forward, self.backward, x_BTD, segments_BT)

    def start(self, batch: int, length: int, dtype: Any = jnp.float32) -> Any:
        """The tokens that the kernel still reads: a few, or all."""
        refuse_decoding("baseconv", self.causal)
        if isinstance(self.conv, ShortConvolution):
            return self.conv.start(batch, dtype)
        return self.conv.start(batch, length, dtype)

    @stepping
    def step(self, x_BD: jax.Array, carry: Any) -> tuple[jax.Array, Any]:
        y_BD, carry = self.conv.step(x_BD, carry)
        return self._gated(x_BD, y_BD), carry

    def cost(self, length: int) -> Cost:
        if isinstance(self.conv, ShortConvolution):
            products = self.conv.products()
        else:
            products = self.conv.products(length)
        products += self.gate.kernel.get_value().size
        return cost_of(self, length, passes(self.causal) * length * products)

    def reach(self, length: int) -> int:
        """The taps of a short kernel before this token, else everything."""
        short = self.options.filter == "short"
        return min(length, self.options.conv - 1) if short else length

    def _forward(self, x_BTD: jax.Array, segments_BT: jax.Array | None) -> jax.Array:
        x_BTD = without_padding(x_BTD, segments_BT)
        y_BTD = self._gated(x_BTD, self.conv(x_BTD, segments_BT))
        return without_padding(y_BTD, segments_BT)

    def _gated(self, x: jax.Array, y: jax.Array) -> jax.Array:
        work = wide(x.dtype)
        bias = self.bias.get_value().astype(work)
        bias = jnp.expand_dims(bias, tuple(range(x.ndim - 1)))
        return (self.gate(x).astype(work) * (y.astype(work) + bias)).astype(x.dtype)
