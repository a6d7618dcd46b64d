"""The matrix memory of the xLSTM as a mixer."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.modules.contract import (
    Cost,
    Projection,
    checked,
    cost_of,
    dynamics,
    everything,
)
from attn_research.modules.directions import (
    backward,
    both_directions,
    passes,
    refuse_decoding,
    without_padding,
)
from attn_research.modules.head_norm import HeadNorm
from attn_research.modules.head_sizes import divided
from attn_research.modules.segments import reading
from attn_research.modules.short_convolution import ShortConvolution
from attn_research.modules.stepping import stepping
from attn_research.modules.wide_projection import project
from attn_research.ops.mlstm import State, matrix_lstm, mlstm_start, mlstm_step
from attn_research.ops.precision import wide
from attn_research.options import declared, option

# The last inputs of the convolution, and the state of `mlstm_step`.
Carry = tuple[jax.Array, State]


@declared
class MLSTMOptions:
    """Options of the mixer `mlstm`."""

    heads: int = option(2, "Number of heads; must divide the width.", low=1)
    conv: int = option(
        4, "Taps of the convolution of queries and keys; 0: none.", low=0
    )
    chunk: int = option(64, "Tokens computed at once by the chunked form.", low=1)
    implementation: Literal["naive", "recurrent", "chunked"] | None = option(
        None, "Form computed, all with the same result; none: the best that runs here."
    )


class MLSTM(nnx.Module):
    """y = out_projection(sigmoid(o) * rms_norm(mlstm(q, k, v, i, f))), heads side by
    side.

    Gates i, f (per head) and o are projections of the input, f through a sigmoid whose
    bias starts from 3 to 6 over the heads and i with a bias of -2 (the source: noise
    around 0). A short convolution precedes queries and keys, as in the source's block,
    whose wider projections are left to the layer's MLP. If not causal, a second mixer
    with its own weights runs from the end.
    """

    Options = MLSTMOptions

    @checked
    def __init__(
        self,
        options: MLSTMOptions,
        *,
        width: int,
        causal: bool,
        length: int,
        rngs: nnx.Rngs,
    ):
        H = options.heads
        divided("mlstm", width, H)
        self.options, self.width, self.causal = options, width, causal
        self.conv = ShortConvolution(width, options.conv, rngs=rngs)
        self.qk = Projection(width, 2 * width, rngs=rngs)
        self.value = Projection(width, width, rngs=rngs)
        # Small, so that the biases alone set the gates at first.
        self.gates = Projection(width, 2 * H, rngs=rngs, scale=0.01)
        write_H = jnp.full(H, -2, jnp.float32)
        forget_H = jnp.linspace(3, 6, H, dtype=jnp.float32)
        self.bias = dynamics(jnp.concatenate([write_H, forget_H]))
        self.norm = HeadNorm(width, width, H, "sigmoid", rngs=rngs)
        self.out = Projection(width, width, rngs=rngs)
        self.backward = backward(
            MLSTM, options, causal=causal, width=width, length=length, rngs=rngs
        )

    @reading
    def __call__(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None = None
    ) -> jax.Array:
        return both_directions(self._forward, self.backward, x_BTD, segments_BT)

    def start(self, batch: int, length: int, dtype: Any = jnp.float32) -> Carry:
        refuse_decoding("mlstm", self.causal)
        H = self.options.heads
        K = self.width // H
        return self.conv.start(batch, dtype), mlstm_start(batch, H, K, K, dtype)

    @stepping
    def step(self, x_BD: jax.Array, carry: Carry) -> tuple[jax.Array, Carry]:
        recent_BWD, state = carry
        near_BD, recent_BWD = self.conv.step(x_BD, recent_BWD)
        y_BHE, state = mlstm_step(*self._arrays(x_BD, near_BD), state)
        return self.out(self.norm(y_BHE, x_BD)), (recent_BWD, state)

    def cost(self, length: int) -> Cost:
        D, K = self.width, self.width // self.options.heads
        C = min(self.options.chunk, length)
        projections = (self.qk, self.value, self.gates, self.norm.gate, self.out)
        products = sum(p.kernel.get_value().size for p in projections if p is not None)
        mixing = 2 * D * (C + K) + self.conv.products()
        return cost_of(self, length, passes(self.causal) * length * (products + mixing))

    reach = everything

    def _forward(self, x_BTD: jax.Array, segments_BT: jax.Array | None) -> jax.Array:
        x_BTD = without_padding(x_BTD, segments_BT)
        y_BTHE = matrix_lstm(
            *self._arrays(x_BTD, self.conv(x_BTD, segments_BT)),
            segments_BT=segments_BT,
            chunk=self.options.chunk,
            implementation=self.options.implementation,
        )
        return self.out(self.norm(y_BTHE, x_BTD))

    def _arrays(
        self, x: jax.Array, near: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array, jax.Array]:
        """q, k, v: (..., H, K) each, and the logarithms of both gates: (..., H)."""
        H, work = self.options.heads, wide(x.dtype)
        K = self.width // H
        qk = project(self.qk, near.astype(x.dtype)).reshape(*x.shape[:-1], 2 * H, K)
        q, k = jnp.split(qk, 2, axis=-2)
        v = project(self.value, x).reshape(*x.shape[:-1], H, K)
        bias = self.bias.get_value().astype(work)
        gates = self.gates(x.astype(work)) + jnp.expand_dims(
            bias, tuple(range(x.ndim - 1))
        )
        write, forget = jnp.split(gates, 2, axis=-1)
        return q * K**-0.5, k, v, write, jax.nn.log_sigmoid(forget)
