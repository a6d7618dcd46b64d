"""Hyena: long convolutions between gates."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.modules import long_convolution as long
from attn_research.modules.contract import (
    Cost,
    Projection,
    carry_bytes,
    parameters,
)
from attn_research.modules.directions import (
    both_directions,
    refuse_decoding,
    without_padding,
)
from attn_research.modules.short_convolution import ShortConvolution
from attn_research.modules.stepping import stepping
from attn_research.ops.precision import wide
from attn_research.options import option

Carry = tuple[jax.Array, tuple[long.History, ...]]


@dataclass(frozen=True)
class HyenaOptions:
    """Options of the mixer `hyena`."""

    order: int = option(2, "Gates, and long convolutions between them.", low=1)
    conv: int = option(3, "Taps of the convolution before.", low=1, high=1024)
    hidden: int = long.hidden_option()
    bands: int = long.bands_option()
    frequency: float = long.frequency_option()
    implementation: long.Implementation | None = long.implementation_option()


class Hyena(nnx.Module):
    """y = out_projection(z_N), z_n = gate_n (kernel_n * z_{n-1} + skip_n z_{n-1}).

    z_0 and the gates are projections of x, each behind a short convolution; the kernels
    are as long as the sequence. Not causal, a second one with weights of its own runs
    from the end. A step costs O(T): it needs all that was convolved.
    Poli et al., 2023, arXiv:2302.10866.
    """

    Options = HyenaOptions

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
        self.backward = (
            None
            if causal
            else Hyena(options, width=width, causal=True, length=length, rngs=rngs)
        )

    def __call__(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None = None
    ) -> jax.Array:
        return both_directions(self._forward, self.backward, x_BTD, segments_BT)

    def start(self, batch: int, length: int, dtype: Any = jnp.float32) -> Carry:
        """What the short convolution looks at, and the history of each long one."""
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
        state = jax.eval_shape(lambda: self.start(1, length)) if self.causal else ()
        return Cost(
            params=parameters(self),
            flops=2 * length * products * (1 if self.causal else 2),
            state_bytes=carry_bytes(state),
        )

    def reach(self, length: int) -> int:
        """How many tokens back an output depends on."""
        return length

    def _forward(self, x_BTD: jax.Array, segments_BT: jax.Array | None) -> jax.Array:
        parts_BTZ = self.input(without_padding(x_BTD, segments_BT))
        parts_BTZ = self.short(parts_BTZ, segments_BT)
        z_BTD, *gates = jnp.split(parts_BTZ, self.options.order + 1, axis=-1)
        skip_ND = self.skip.get_value().astype(z_BTD.dtype)
        for n, conv in enumerate(self.long):
            y_BTD = conv(z_BTD, segments_BT)
            z_BTD = gates[n] * (y_BTD + skip_ND[n][None, None] * z_BTD)
        return self.out(z_BTD.astype(x_BTD.dtype))
