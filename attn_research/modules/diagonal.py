"""Gated diagonal recurrences with real gates: RG-LRU, minGRU, minLSTM."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from attn_research.modules.contract import (
    Cost,
    Projection,
    carry_bytes,
    dynamics,
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
from attn_research.ops.recurrence import diagonal_recurrence
from attn_research.options import option

# c of the source: an open gate (r = 1) forgets as fast as the learned a to this power.
SHARPNESS = 8.0
Terms = tuple[jax.Array, jax.Array]
Carry = tuple[jax.Array, jax.Array]


def rglru(u: jax.Array, forget: jax.Array, write: jax.Array, rate: jax.Array) -> Terms:
    """a = exp(-8 rate sigmoid(r)), b = sqrt(1 - a^2) sigmoid(i) u.

    De et al., 2024, arXiv:2402.19427.
    """
    log_a = -SHARPNESS * rate * jax.nn.sigmoid(forget)
    # Below the floor the true slope of the root would be infinite.
    written = jnp.sqrt(jnp.maximum(-jnp.expm1(2 * log_a), 1e-6))
    return jnp.exp(log_a), written * jax.nn.sigmoid(write) * u


def mingru(u: jax.Array, update: jax.Array) -> Terms:
    """a = 1 - z, b = z g(u) with z = sigmoid(update).

    Feng et al., 2024, arXiv:2410.01201.
    """
    return jax.nn.sigmoid(-update), jax.nn.sigmoid(update) * _positive(u)


def minlstm(u: jax.Array, forget: jax.Array, write: jax.Array) -> Terms:
    """a = f / (f + i), b = i g(u) / (f + i) of sigmoid gates f and i; as `mingru`."""
    # The log-odds of a, which cannot divide zero by zero.
    odds = jax.nn.log_sigmoid(forget) - jax.nn.log_sigmoid(write)
    return jax.nn.sigmoid(odds), jax.nn.sigmoid(-odds) * _positive(u)


def _positive(u: jax.Array) -> jax.Array:
    """g of the source: u + 1/2 where u is positive, sigmoid(u) elsewhere."""
    return jnp.where(u >= 0, u + 0.5, jax.nn.sigmoid(u))


class Kind(NamedTuple):
    """(u, gates, rate if it has one) -> the terms of the recurrence."""

    terms: Callable[..., Terms]
    gates: int
    rate: bool


KINDS = {
    "rglru": Kind(rglru, 2, True),
    "mingru": Kind(mingru, 1, False),
    "minlstm": Kind(minlstm, 2, False),
}


@dataclass(frozen=True)
class DiagonalOptions:
    """Options of the mixers `diagonal`, `rglru`, `mingru` and `minlstm`."""

    kind: Literal["rglru", "mingru", "minlstm"] = option("rglru", "The gates.")
    state: int = option(0, "Size N of the state; 0: the width.", low=0)
    conv: int = option(
        0, "Taps of a convolution before the recurrence, which its gates then read; 0: "
        "none, and the gates read the input.", low=0, high=1024,
    )  # fmt: skip
    gate: bool = option(True, "Multiply the output by GELU of a second projection.")
    implementation: Literal["naive", "sequential", "associative", "chunked"] | None = (
        option(None, "Form computed, all with one result; none: the best that runs.")
    )


class Diagonal(nnx.Module):
    """y = out_projection(h * gelu(g)), h_t = a_t h_{t-1} + b_t.

    u and g are projections of the input, and so are the gates, of which `KINDS` makes a
    and b; one product serves them all. With a convolution (the block of Griffin: 4 taps
    with a bias) u passes through it first, and the gates read u. The a of RG-LRU starts
    with a^8 uniform in [0.9, 0.999]. Not causal, a second recurrence with weights of
    its own runs from the end.
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
        kind = KINDS[options.kind]
        apart = options.conv > 0
        parts = 1 + options.gate + (0 if apart else kind.gates)
        self.input = Projection(width, parts * N, rngs=rngs, bias=True)
        self.conv = ShortConvolution(
            N, options.conv, bias=True, active=False, rngs=rngs
        )
        self.gates = (
            Projection(N, kind.gates * N, rngs=rngs, bias=True) if apart else None
        )
        fastest_N = jax.random.uniform(
            rngs.params(), (N,), jnp.float32, minval=0.9, maxval=0.999
        )
        # Stored as the inverse of softplus, which keeps the rate positive.
        rate_N = jnp.log(jnp.expm1(-jnp.log(fastest_N) / SHARPNESS))
        self.rate = dynamics(rate_N) if kind.rate else None
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

    def start(self, batch: int, length: int, dtype: Any = jnp.float32) -> Carry:
        """The state, and what the convolution still looks at."""
        refuse_decoding(self.options.kind, self.causal)
        h_BN = jnp.zeros((batch, self.size), wide(dtype))
        return h_BN, self.conv.start(batch, dtype)

    @stepping
    def step(self, x_BD: jax.Array, carry: Carry) -> tuple[jax.Array, Carry]:
        h_BN, recent_BWN = carry
        u_BN, *rest = self._split(x_BD)
        u_BN, recent_BWN = self.conv.step(u_BN, recent_BWN)
        a_BN, b_BN, gate = self._terms(u_BN, rest)
        h_BN = a_BN * h_BN + b_BN
        return self._read(h_BN.astype(x_BD.dtype), gate), (h_BN, recent_BWN)

    def cost(self, length: int) -> Cost:
        made = [self.input, self.out, *([] if self.gates is None else [self.gates])]
        products = sum(one.kernel.get_value().size for one in made)
        products += self.size + self.conv.products()
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
        u_BTN, *rest = self._split(without_padding(x_BTD, segments_BT))
        u_BTN = self.conv(u_BTN, segments_BT)
        a_BTN, b_BTN, gate = self._terms(u_BTN, rest)
        h_BTN = diagonal_recurrence(
            a_BTN,
            b_BTN,
            segments_BT=segments_BT,
            implementation=self.options.implementation,
        )
        return self._read(h_BTN.astype(x_BTD.dtype), gate)

    def _split(self, x: jax.Array) -> list[jax.Array]:
        """u, then the gates of the recurrence where they read x, then that of y."""
        parts = self.input(x)
        return jnp.split(parts, parts.shape[-1] // self.size, axis=-1)

    def _terms(
        self, u: jax.Array, rest: list[jax.Array]
    ) -> tuple[jax.Array, jax.Array, list[jax.Array]]:
        """Decay and input of the recurrence (float32 at least), and the output gate."""
        kind = KINDS[self.options.kind]
        if self.gates is not None:
            rest = [*jnp.split(self.gates(u), kind.gates, axis=-1), *rest]
        # bfloat16 has no number between 0.996 and 1: decays would forget or last.
        work = wide(u.dtype)
        terms = [z.astype(work) for z in (u, *rest[: kind.gates])]
        if self.rate is not None:
            rate = jax.nn.softplus(self.rate.get_value().astype(work))
            terms.append(jnp.expand_dims(rate, tuple(range(u.ndim - 1))))
        return *kind.terms(*terms), rest[kind.gates :]

    def _read(self, h: jax.Array, gate: list[jax.Array]) -> jax.Array:
        return self.out(h * jax.nn.gelu(gate[0]) if gate else h)
