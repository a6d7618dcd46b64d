"""The gated diagonal linear recurrence with real gates."""

from dataclasses import dataclass
from typing import Any, Literal

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
from attn_research.ops.recurrence import diagonal_recurrence
from attn_research.options import option

# c of the source: an open gate (r = 1) forgets as fast as the learned a to this power.
SHARPNESS = 8.0


@dataclass(frozen=True)
class DiagonalOptions:
    """Options of the mixer `diagonal`."""

    state: int = option(0, "Size N of the state; 0: the width.", low=0)
    gate: bool = option(True, "Multiply the output by GELU of a second projection.")
    implementation: Literal["naive", "sequential", "associative"] | None = option(
        None, "Form computed, all with the same result; none: the best that runs here."
    )


class Diagonal(nnx.Module):
    """y = out_projection(h * gelu(g)), h_t = a_t h_{t-1} + sqrt(1 - a_t^2) (i_t * u_t).

    The RG-LRU of Griffin (De et al., 2024, arXiv:2402.19427): a_t = a^(8 r_t), where r
    and i are sigmoid gates of the input and a is learned; a^8 starts uniform in
    [0.9, 0.999]. Here u, r, i and g all read the mixer's input, so that one product
    serves them, and no convolution stands before: the pattern `conv,diagonal` adds one.
    Not causal, a second recurrence with weights of its own runs from the end.
    """

    Options = DiagonalOptions

    def __init__(
        self,
        options: DiagonalOptions,
        *,
        width: int,
        causal: bool,
        length: int,
        rngs: nnx.Rngs,
    ):
        self.options, self.causal = options, causal
        self.size = N = options.state or width
        self.input = Projection(width, (3 + options.gate) * N, rngs=rngs, bias=True)
        fastest_N = jax.random.uniform(
            rngs.params(), (N,), jnp.float32, minval=0.9, maxval=0.999
        )
        # Stored as the inverse of softplus, which keeps the rate positive.
        rate_N = -jnp.log(fastest_N) / SHARPNESS
        self.rate = nnx.Param(jnp.log(jnp.expm1(rate_N)))
        self.out = Projection(N, width, rngs=rngs)
        self.backward = (
            None
            if causal
            else Diagonal(options, width=width, causal=True, length=length, rngs=rngs)
        )

    def __call__(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None = None
    ) -> jax.Array:
        return both_directions(self._forward, self.backward, x_BTD, segments_BT)

    def start(self, batch: int, length: int, dtype: Any = jnp.float32) -> jax.Array:
        refuse_decoding("diagonal", self.causal)
        return jnp.zeros((batch, self.size), wide(dtype))

    def step(self, x_BD: jax.Array, carry: jax.Array) -> tuple[jax.Array, jax.Array]:
        refuse_decoding("diagonal", self.causal)
        a_BN, b_BN, gate_BN = self._terms(x_BD)
        carry = a_BN * carry + b_BN
        return self._read(carry.astype(x_BD.dtype), gate_BN), carry

    def cost(self, length: int) -> Cost:
        products = self.input.kernel.get_value().size + self.out.kernel.get_value().size
        state = jax.eval_shape(lambda: self.start(1, length)) if self.causal else ()
        return Cost(
            params=parameters(self),
            flops=2 * length * (products + self.size) * (1 if self.causal else 2),
            state_bytes=carry_bytes(state),
        )

    def reach(self, length: int) -> int:
        """How many tokens back an output depends on."""
        return length

    def _forward(self, x_BTD: jax.Array, segments_BT: jax.Array | None) -> jax.Array:
        a_BTN, b_BTN, gate_BTN = self._terms(without_padding(x_BTD, segments_BT))
        h_BTN = diagonal_recurrence(
            a_BTN,
            b_BTN,
            segments_BT=segments_BT,
            implementation=self.options.implementation,
        )
        return self._read(h_BTN.astype(x_BTD.dtype), gate_BTN)

    def _terms(self, x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array | None]:
        """Decay and input of the recurrence (float32 at least), and the output gate."""
        u, forget, write, *gate = jnp.split(
            self.input(x), 3 + self.options.gate, axis=-1
        )
        # bfloat16 has no number between 0.996 and 1: decays would forget or last.
        work = wide(x.dtype)
        u, forget, write = (z.astype(work) for z in (u, forget, write))
        rate = jax.nn.softplus(self.rate.get_value().astype(work))
        rate = jnp.expand_dims(rate, tuple(range(x.ndim - 1)))
        log_a = -SHARPNESS * rate * jax.nn.sigmoid(forget)
        # Below the floor the true slope of the root would be infinite.
        written = jnp.sqrt(jnp.maximum(-jnp.expm1(2 * log_a), 1e-6))
        b = written * jax.nn.sigmoid(write) * u
        return jnp.exp(log_a), b, gate[0] if gate else None

    def _read(self, h: jax.Array, gate: jax.Array | None) -> jax.Array:
        return self.out(h if gate is None else h * jax.nn.gelu(gate))
