"""The nonlinear recurrences: LSTM and GRU."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

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
from attn_research.ops.precision import wide
from attn_research.ops.recurrence import State, gru_cell, lstm_cell, scan_cell
from attn_research.options import option


@dataclass(frozen=True)
class RecurrentOptions:
    """Options of the mixers `lstm` and `gru`."""

    state: int = option(0, "Size N of the hidden state; 0: the width.", low=0)


class LSTM(nnx.Module):
    """y = out_projection(lstm(x)); not causal, a second one runs from the end.

    The recurrent kernel starts orthogonal for each gate and the bias of the forget gate
    at 1 (Jozefowicz et al., 2015), so that an untrained state already lasts.
    """

    Options = RecurrentOptions

    def __init__(
        self,
        options: RecurrentOptions,
        *,
        width: int,
        causal: bool,
        length: int,
        rngs: nnx.Rngs,
    ):
        self.size, self.causal = options.state or width, causal
        N = self.size
        self.input = Projection(width, 4 * N, rngs=rngs, bias=True)
        forget_Z = jnp.zeros(4 * N, jnp.float32).at[N : 2 * N].set(1)
        self.input.bias = nnx.Param(forget_Z)
        self.kernel = nnx.Param(orthogonal_gates(rngs.params(), N, 4))
        self.out = Projection(N, width, rngs=rngs)
        self.backward = (
            None
            if causal
            else LSTM(options, width=width, causal=True, length=length, rngs=rngs)
        )

    def __call__(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None = None
    ) -> jax.Array:
        return both_directions(self._forward, self.backward, x_BTD, segments_BT)

    def start(self, batch: int, length: int, dtype: Any = jnp.float32) -> State:
        refuse_decoding("lstm", self.causal)
        return self._zeros(batch, dtype)

    def step(self, x_BD: jax.Array, carry: State) -> tuple[jax.Array, State]:
        refuse_decoding("lstm", self.causal)
        dtype = carry[0].dtype
        kernel_NZ = self.kernel.get_value().astype(dtype)
        carry = lstm_cell(carry, self.input(x_BD).astype(dtype), kernel_NZ)
        return self.out(carry[0].astype(x_BD.dtype)), carry

    def cost(self, length: int) -> Cost:
        return _cost(self, self.input, self.out, length)

    def reach(self, length: int) -> int:
        """How many tokens back an output depends on."""
        return length

    def _zeros(self, batch: int, dtype: Any) -> State:
        zeros_BN = jnp.zeros((batch, self.size), wide(dtype))
        return zeros_BN, zeros_BN

    def _forward(self, x_BTD: jax.Array, segments_BT: jax.Array | None) -> jax.Array:
        x_BTD = without_padding(x_BTD, segments_BT)
        h_BTN = scan_cell(
            lstm_cell,
            self.input(x_BTD),
            self._zeros(x_BTD.shape[0], x_BTD.dtype),
            self.kernel.get_value(),
            segments_BT=segments_BT,
        )
        return self.out(h_BTN)


class GRU(nnx.Module):
    """y = out_projection(gru(x)); not causal, a second one runs from the end.

    The recurrent kernel starts orthogonal for each gate.
    """

    Options = RecurrentOptions

    def __init__(
        self,
        options: RecurrentOptions,
        *,
        width: int,
        causal: bool,
        length: int,
        rngs: nnx.Rngs,
    ):
        self.size, self.causal = options.state or width, causal
        N = self.size
        self.input = Projection(width, 3 * N, rngs=rngs, bias=True)
        self.kernel = nnx.Param(orthogonal_gates(rngs.params(), N, 3))
        self.bias = nnx.Param(jnp.zeros(N, jnp.float32))
        self.out = Projection(N, width, rngs=rngs)
        self.backward = (
            None
            if causal
            else GRU(options, width=width, causal=True, length=length, rngs=rngs)
        )

    def __call__(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None = None
    ) -> jax.Array:
        return both_directions(self._forward, self.backward, x_BTD, segments_BT)

    def start(self, batch: int, length: int, dtype: Any = jnp.float32) -> State:
        refuse_decoding("gru", self.causal)
        return self._zeros(batch, dtype)

    def step(self, x_BD: jax.Array, carry: State) -> tuple[jax.Array, State]:
        refuse_decoding("gru", self.causal)
        dtype = carry[0].dtype
        kernel_NZ = self.kernel.get_value().astype(dtype)
        bias_N = self.bias.get_value().astype(dtype)
        carry = gru_cell(carry, self.input(x_BD).astype(dtype), kernel_NZ, bias_N)
        return self.out(carry[0].astype(x_BD.dtype)), carry

    def cost(self, length: int) -> Cost:
        return _cost(self, self.input, self.out, length)

    def reach(self, length: int) -> int:
        """How many tokens back an output depends on."""
        return length

    def _zeros(self, batch: int, dtype: Any) -> State:
        dtype = wide(dtype)
        return (jnp.zeros((batch, self.size), dtype),)

    def _forward(self, x_BTD: jax.Array, segments_BT: jax.Array | None) -> jax.Array:
        x_BTD = without_padding(x_BTD, segments_BT)
        h_BTN = scan_cell(
            gru_cell,
            self.input(x_BTD),
            self._zeros(x_BTD.shape[0], x_BTD.dtype),
            self.kernel.get_value(),
            self.bias.get_value(),
            segments_BT=segments_BT,
        )
        return self.out(h_BTN)


def orthogonal_gates(key: jax.Array, size: int, gates: int) -> jax.Array:
    """A kernel (N, gates N) whose square for each gate is a random orthogonal matrix.

    Saxe et al., 2013, arXiv:1312.6120.
    """
    normal_GNN = jax.random.normal(key, (gates, size, size), jnp.float32)
    q_GNN, r_GNN = jnp.linalg.qr(normal_GNN)
    # QR leaves the signs of the columns to the library; fixed, the draw is uniform.
    sign_GN = jnp.sign(jnp.diagonal(r_GNN, axis1=1, axis2=2))
    q_GNN = q_GNN * sign_GN[:, None, :]
    return jnp.concatenate(list(q_GNN), axis=-1)


def _cost(mixer: LSTM | GRU, input: Projection, out: Projection, length: int) -> Cost:
    gates = mixer.kernel.get_value().size
    products = gates + input.kernel.get_value().size + out.kernel.get_value().size
    state = jax.eval_shape(lambda: mixer.start(1, length)) if mixer.causal else ()
    return Cost(
        params=parameters(mixer),
        flops=2 * length * products * (1 if mixer.causal else 2),
        state_bytes=carry_bytes(state),
    )
