"""Hyena: long convolutions between gates."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.modules import long_convolution as long
from attn_research.modules.contract import (
    Cost,
    Projection,
    checked,
    cost_of,
    everything,
)
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

Carry = tuple[jax.Array, tuple[long.History, ...]]


@declared
class HyenaOptions:
    """Options of the mixer `hyena`."""

    order: int = option(2, "Number of gates, and of long convolutions.", low=1, high=64)
    conv: int = option(3, "Taps of the short convolution.", low=1, high=1024)
    hidden: int = long.hidden_option()
    bands: int = long.bands_option()
    frequency: float = long.frequency_option()
    implementation: long.Implementation | None = long.implementation_option()


class Hyena(nnx.Module):
    """y = out_projection(z_N), z_n = gate_n (kernel_n * z_{n-1} + skip_n z_{n-1}).

    z_0 and the gates are projections of x, each with a short convolution; the kernels
    are as long as the sequence. If not causal, a second one with its own weights runs
    from the end. A step costs O(T): it reads the whole past. Poli et al., 2023,
    arXiv:2302.10866.

    This is the equation of the paper, with N long convolutions. The released code has
    N - 1 of them (one at order 2), biases on its projections and its short convolution,
    kernels that are not scaled by length^-0.5, and filters of three sine layers that
    read one frequency, where ours have two that read eight. It learns recall sooner: at
    a learning rate of 1e-3 it had 0.43 when ours had 0.18.
    """

    Options = HyenaOptions

    @checked
    def __init__(
        self,
        options: HyenaOptions,
        *,
        width: int,
        causal: bool,
        length: int,
        rngs: nnx.Rngs,
    ):
        self.options, self.causal = options, causal
        N = options.order
        self.input = Projection(width, (N + 1) * width, rngs=rngs)
        self.short = ShortConvolution(
            (N + 1) * width, options.conv, active=False, rngs=rngs
        )
        sizes = options.hidden, options.bands, options.frequency
        filter = long.Filter(*sizes, options.implementation)
        self.long = nnx.List(
            long.LongConvolution(width, filter, length=length, rngs=rngs)
            for _ in range(N)
        )
        skip_ND = jax.random.normal(rngs.params(), (N, width), jnp.float32)
        self.skip = nnx.Param(skip_ND)
        self.out = Projection(width, width, rngs=rngs)
        self.backward = backward(
            Hyena, options, causal=causal, width=width, length=length, rngs=rngs
        )

    @reading
    def __call__(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None = None
    ) -> jax.Array:
        return both_directions(self._forward, self.backward, x_BTD, segments_BT)

    def start(self, batch: int, length: int, dtype: Any = jnp.float32) -> Carry:
        """The inputs of the short convolution, and the history of each long one."""
        refuse_decoding("hyena", self.causal)
        work = wide(dtype)
        histories = tuple(conv.start(batch, length, work) for conv in self.long)
        return self.short.start(batch, dtype), histories

    @stepping
    def step(self, x_BD: jax.Array, carry: Carry) -> tuple[jax.Array, Carry]:
        recent, histories = carry
        parts_BZ, recent = self.short.step(self.input(x_BD), recent)
        z_BD, *gates = jnp.split(parts_BZ, self.options.order + 1, axis=-1)
        skip_ND, after = self.skip.get_value().astype(z_BD.dtype), []
        for n, conv in enumerate(self.long):
            y_BD, history = conv.step(z_BD, histories[n])
            z_BD = gates[n] * (y_BD + skip_ND[n][None] * z_BD)
            after.append(history)
        return self.out(z_BD.astype(x_BD.dtype)), (recent, tuple(after))

    def cost(self, length: int) -> Cost:
        kernels = self.input.kernel, self.out.kernel
        products = sum(kernel.get_value().size for kernel in kernels)
        products += self.short.products()
        products += sum(conv.products(length) for conv in self.long)
        return cost_of(self, length, passes(self.causal) * length * products)

    reach = everything

    def _forward(self, x_BTD: jax.Array, segments_BT: jax.Array | None) -> jax.Array:
        parts_BTZ = self.input(without_padding(x_BTD, segments_BT))
        parts_BTZ = self.short(parts_BTZ, segments_BT)
        z_BTD, *gates = jnp.split(parts_BTZ, self.options.order + 1, axis=-1)
        skip_ND = self.skip.get_value().astype(z_BTD.dtype)
        for n, conv in enumerate(self.long):
            y_BTD = conv(z_BTD, segments_BT)
            z_BTD = gates[n] * (y_BTD + skip_ND[n][None, None] * z_BTD)
        return self.out(z_BTD.astype(x_BTD.dtype))
