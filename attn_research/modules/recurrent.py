"""The nonlinear recurrences: RNN, LSTM, GRU and sLSTM."""

import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

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
from attn_research.modules.head_sizes import divided
from attn_research.modules.segments import reading
from attn_research.modules.stepping import stepping
from attn_research.ops import cells
from attn_research.ops.precision import wide
from attn_research.options import declared, option


def _zero(size: int) -> jax.Array:
    return jnp.zeros(size, jnp.float32)


def _one(size: int) -> jax.Array:
    return jnp.ones(size, jnp.float32)


def _slow(size: int) -> jax.Array:
    """Forget gates from sigmoid(3) to sigmoid(6), evenly spread over a head."""
    return jnp.linspace(3, 6, size, dtype=jnp.float32)


class Kind(NamedTuple):
    """A cell and its initial values.

    start: the value of each leaf of the state before the first token; bias: the initial
    bias of each gate, of a size; inner: whether the recurrent side of each gate has its
    own bias, which matters only if the cell does not simply add z and r.
    """

    cell: cells.Cell
    start: tuple[float, ...]
    bias: tuple[Callable[[int], jax.Array], ...]
    inner: tuple[bool, ...]


CELLS = {
    "rnn": Kind(cells.rnn_cell, (0,), (_zero,), (False,)),
    # An open forget gate lets an untrained state last (Jozefowicz et al., 2015).
    "lstm": Kind(cells.lstm_cell, (0, 0), (_zero, _one, _zero, _zero), (False,) * 4),
    "gru": Kind(cells.gru_cell, (0,), (_zero,) * 3, (False, False, True)),
    "slstm": Kind(
        cells.slstm_cell,
        (0, 0, 0, -math.inf),
        (_zero, _slow, _zero, _zero),
        (False,) * 4,
    ),
}


@declared
class RecurrentOptions:
    """Options of the mixers `rnn`, `lstm`, `gru` and `slstm`."""

    cell: Literal["rnn", "lstm", "gru", "slstm"] = option("lstm", "The recurrence.")
    state: int = option(0, "Size N of the hidden state; 0: the width.", low=0)
    heads: int = option(
        1, "Parts of the state with separate gates; must divide its size.",
        low=1,
    )  # fmt: skip
    implementation: Literal["naive", "scan"] | None = option(
        None, "Form computed, all with the same result; none: the best that runs here."
    )


class Recurrent(nnx.Module):
    """y = out_projection(cell(x)); if not causal, a second one runs from the end.

    The recurrent kernel starts orthogonal for each gate and head.
    """

    Options = RecurrentOptions

    @checked
    def __init__(
        self,
        options: RecurrentOptions,
        *,
        width: int,
        causal: bool,
        length: int,
        rngs: nnx.Rngs,
    ):
        self.options, self.causal = options, causal
        self.size = N = options.state or width
        H, kind = options.heads, CELLS[options.cell]
        K, gates = divided(options.cell, N, H, "state"), len(kind.bias)
        self.input = Projection(width, gates * N, rngs=rngs, bias=True)
        # The gates in z are grouped by head.
        bias_Z = jnp.concatenate([first(K) for first in kind.bias])
        self.input.bias = nnx.Param(jnp.tile(bias_Z, H))
        kernel_HKZ = orthogonal_gates(rngs.params(), H, K, gates)
        self.kernel = nnx.Param(kernel_HKZ[0] if H == 1 else kernel_HKZ)
        inner = any(kind.inner)
        self.bias = nnx.Param(_zero(sum(kind.inner) * N)) if inner else None
        self.out = Projection(N, width, rngs=rngs)
        self.backward = backward(
            Recurrent, options, causal=causal, width=width, length=length, rngs=rngs
        )

    @reading
    def __call__(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None = None
    ) -> jax.Array:
        return both_directions(self._forward, self.backward, x_BTD, segments_BT)

    def start(self, batch: int, length: int, dtype: Any = jnp.float32) -> cells.State:
        refuse_decoding(self.options.cell, self.causal)
        return self._first(batch, dtype)

    @stepping
    def step(
        self, x_BD: jax.Array, carry: cells.State
    ) -> tuple[jax.Array, cells.State]:
        kind, kernel = CELLS[self.options.cell], self.kernel.get_value()
        z_BZ = self.input(x_BD)
        carry = cells.step_cell(kind.cell, z_BZ, carry, kernel, self._inner())
        return self.out(carry[0].astype(x_BD.dtype)), carry

    def cost(self, length: int) -> Cost:
        kernels = self.kernel, self.input.kernel, self.out.kernel
        products = sum(kernel.get_value().size for kernel in kernels)
        return cost_of(self, length, passes(self.causal) * length * products)

    reach = everything

    def _first(self, batch: int, dtype: Any) -> cells.State:
        shape, dtype = (batch, self.size), wide(dtype)
        starts = CELLS[self.options.cell].start
        return tuple(jnp.full(shape, value, dtype) for value in starts)

    def _inner(self) -> jax.Array | None:
        """The bias of the recurrent side for all gates, head by head."""
        if self.bias is None:
            return None
        H, inner = self.options.heads, CELLS[self.options.cell].inner
        bias_HZ = self.bias.get_value().reshape(H, -1)
        parts_HK = iter(jnp.split(bias_HZ, sum(inner), axis=1))
        nothing_HK = jnp.zeros((H, self.size // H), bias_HZ.dtype)
        gates = [next(parts_HK) if has else nothing_HK for has in inner]
        return jnp.concatenate(gates, axis=1).reshape(-1)

    def _forward(self, x_BTD: jax.Array, segments_BT: jax.Array | None) -> jax.Array:
        x_BTD = without_padding(x_BTD, segments_BT)
        h_BTN = cells.scan_cell(
            CELLS[self.options.cell].cell,
            self.input(x_BTD),
            self._first(x_BTD.shape[0], x_BTD.dtype),
            self.kernel.get_value(),
            self._inner(),
            segments_BT=segments_BT,
            implementation=self.options.implementation,
        )
        return self.out(h_BTN)


def orthogonal_gates(key: jax.Array, heads: int, size: int, gates: int) -> jax.Array:
    """Kernels (H, K, gates K) whose square for each gate is a random orthogonal matrix.

    Saxe et al., 2013, arXiv:1312.6120.
    """
    shape = (heads, gates, size, size)
    q_HGKK, r_HGKK = jnp.linalg.qr(jax.random.normal(key, shape, jnp.float32))
    # The signs of QR's columns depend on the library; fixed, the draw is uniform.
    sign_HGK = jnp.sign(jnp.diagonal(r_HGKK, axis1=2, axis2=3))
    q_HGKK = q_HGKK * sign_HGK[:, :, None, :]
    return jnp.moveaxis(q_HGKK, 1, 2).reshape(heads, size, gates * size)
