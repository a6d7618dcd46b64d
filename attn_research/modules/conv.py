"""Convolutional mixers: one short depthwise convolution, and a dilated stack."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.modules.contract import Cost, Projection, checked, cost_of
from attn_research.modules.directions import refuse_decoding, without_padding
from attn_research.modules.segments import reading
from attn_research.modules.stepping import stepping
from attn_research.ops.convolution import depthwise_convolution, dilated_convolution
from attn_research.options import declared, option


@declared
class ConvOptions:
    """Options of the mixer `conv`."""

    width: int = option(
        4, "Taps W: the token and W - 1 before it (and after it if not causal).", low=1,
        high=1024,
    )  # fmt: skip
    gate: bool = option(True, "Multiply the result by SiLU of a second projection.")


class Conv(nnx.Module):
    """y = out_projection((kernel * u) silu(g)), u and g projections of x.

    The kernel is depthwise and short; if not causal, it reaches ahead and back alike.
    The gated short convolution of H3 and Hyena (Poli et al., 2023, arXiv:2302.10866).
    """

    Options = ConvOptions

    @checked
    def __init__(
        self,
        options: ConvOptions,
        *,
        width: int,
        causal: bool,
        length: int,
        rngs: nnx.Rngs,
    ):
        self.options, self.width, self.causal = options, width, causal
        W = _taps(options.width, causal)
        self.input = Projection(width, (1 + options.gate) * width, rngs=rngs)
        kernel_WD = jax.random.normal(rngs.params(), (W, width), jnp.float32)
        self.kernel = nnx.Param(kernel_WD * W**-0.5)
        self.out = Projection(width, width, rngs=rngs)

    @reading
    def __call__(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None = None
    ) -> jax.Array:
        u_BTD, *gate = self._split(without_padding(x_BTD, segments_BT))
        kernel_WD = self.kernel.get_value().astype(x_BTD.dtype)
        y_BTD = depthwise_convolution(
            u_BTD, kernel_WD, causal=self.causal, segments_BT=segments_BT
        )
        return self._read(y_BTD, gate)

    def start(self, batch: int, length: int, dtype: Any = jnp.float32) -> jax.Array:
        """The last W - 1 values of u, oldest first."""
        refuse_decoding("conv", self.causal)
        return jnp.zeros((batch, self.options.width - 1, self.width), dtype)

    @stepping
    def step(self, x_BD: jax.Array, carry: jax.Array) -> tuple[jax.Array, jax.Array]:
        u_BD, *gate = self._split(x_BD)
        recent_BWD = jnp.concatenate([carry, u_BD[:, None].astype(carry.dtype)], axis=1)
        # Tap 0 belongs to the newest value.
        kernel_WD = jnp.flip(self.kernel.get_value(), axis=0).astype(x_BD.dtype)
        y_BD = (recent_BWD.astype(x_BD.dtype) * kernel_WD[None]).sum(axis=1)
        return self._read(y_BD, gate), recent_BWD[:, 1:]

    def cost(self, length: int) -> Cost:
        D, W = self.width, self.kernel.get_value().shape[0]
        return cost_of(self, length, length * D * ((2 + self.options.gate) * D + W))

    def reach(self, length: int) -> int:
        """The taps before this token."""
        return min(length, self.options.width - 1)

    def _split(self, x: jax.Array) -> list[jax.Array]:
        return jnp.split(self.input(x), 1 + self.options.gate, axis=-1)

    def _read(self, y: jax.Array, gate: list[jax.Array]) -> jax.Array:
        return self.out(y * jax.nn.silu(gate[0]) if gate else y)


@declared
class DilatedOptions:
    """Options of the mixer `dilated`."""

    kernel: int = option(
        2, "Taps of each convolution: the token and those before it (and after it if "
        "not causal).", low=1, high=1024,
    )  # fmt: skip
    dilations: tuple[int, ...] = option(
        (1, 2, 4, 8), "Distance of the taps in each convolution of the stack.", low=1
    )


class Dilated(nnx.Module):
    """The sum over a stack of dilated convolutions, each reading the ones before.

    z = convolution(x + y), y <- y + projection(tanh(z_1) sigmoid(z_2)), from y = 0: the
    gated residual stack of WaveNet (van den Oord et al., 2016, arXiv:1609.03499), which
    sees (kernel - 1) * sum(dilations) tokens back and, if not causal, ahead.
    """

    Options = DilatedOptions

    @checked
    def __init__(
        self,
        options: DilatedOptions,
        *,
        width: int,
        causal: bool,
        length: int,
        rngs: nnx.Rngs,
    ):
        self.options, self.width, self.causal = options, width, causal
        W = _taps(options.kernel, causal)
        shape = (len(options.dilations), W, width, 2 * width)
        kernel_NWDF = jax.random.normal(rngs.params(), shape, jnp.float32)
        self.kernel = nnx.Param(kernel_NWDF * (W * width) ** -0.5)
        shape = (len(options.dilations), width, width)
        out_NDD = jax.random.normal(rngs.params(), shape, jnp.float32)
        self.out = nnx.Param(out_NDD * width**-0.5)

    @reading
    def __call__(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None = None
    ) -> jax.Array:
        x_BTD = without_padding(x_BTD, segments_BT)
        y_BTD = jnp.zeros_like(x_BTD)
        kernel_NWDF, out_NDD = self._weights(x_BTD.dtype)
        for n, dilation in enumerate(self.options.dilations):
            z_BTF = dilated_convolution(
                x_BTD + y_BTD,
                kernel_NWDF[n],
                dilation=dilation,
                causal=self.causal,
                segments_BT=segments_BT,
            )
            y_BTD = y_BTD + _gated(z_BTF) @ out_NDD[n]
        return y_BTD

    def start(
        self, batch: int, length: int, dtype: Any = jnp.float32
    ) -> tuple[jax.Array, ...]:
        """The inputs that the taps of each convolution still read, oldest first."""
        refuse_decoding("dilated", self.causal)
        past = self.options.kernel - 1
        return tuple(
            jnp.zeros((batch, past * dilation, self.width), dtype)
            for dilation in self.options.dilations
        )

    @stepping
    def step(
        self, x_BD: jax.Array, carry: tuple[jax.Array, ...]
    ) -> tuple[jax.Array, tuple[jax.Array, ...]]:
        y_BD, next_carry = jnp.zeros_like(x_BD), []
        kernel_NWDF, out_NDD = self._weights(x_BD.dtype)
        for n, dilation in enumerate(self.options.dilations):
            new_B1D = (x_BD + y_BD)[:, None].astype(carry[n].dtype)
            recent_BTD = jnp.concatenate([carry[n], new_B1D], axis=1)
            next_carry.append(recent_BTD[:, 1:])
            # From the newest backwards: tap j is j dilations back.
            seen_BWD = recent_BTD[:, ::-1][:, ::dilation].astype(x_BD.dtype)
            z_BF = jnp.einsum("BWD,WDF->BF", seen_BWD, kernel_NWDF[n])
            y_BD = y_BD + _gated(z_BF) @ out_NDD[n]
        return y_BD, tuple(next_carry)

    def cost(self, length: int) -> Cost:
        products = self.kernel.get_value().size + self.out.get_value().size
        return cost_of(self, length, length * products)

    def reach(self, length: int) -> int:
        """The taps before this token, summed over the stack."""
        back = (self.options.kernel - 1) * sum(self.options.dilations)
        return min(length, back)

    def _weights(self, dtype: Any) -> tuple[jax.Array, jax.Array]:
        return self.kernel.get_value().astype(dtype), self.out.get_value().astype(dtype)


def _taps(one_side: int, causal: bool) -> int:
    return one_side if causal else 2 * one_side - 1


def _gated(z: jax.Array) -> jax.Array:
    filtered, gate = jnp.split(z, 2, axis=-1)
    return jnp.tanh(filtered) * jax.nn.sigmoid(gate)
