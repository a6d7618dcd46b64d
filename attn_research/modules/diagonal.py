"""Gated diagonal recurrences with real gates: RG-LRU, minGRU, minLSTM."""

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
from attn_research.modules.segments import reading
from attn_research.modules.short_convolution import ShortConvolution
from attn_research.modules.stepping import stepping
from attn_research.ops.precision import wide
from attn_research.ops.recurrence import begins, diagonal_recurrence
from attn_research.options import BadInput, declared, option

# c of the source: an open gate (r = 1) forgets as fast as the learned a to this power.
SHARPNESS = 8.0
Terms = tuple[jax.Array, jax.Array]
# The state, the inputs of the convolution, and with `whole` the number of tokens seen.
Carry = tuple[jax.Array, ...]
# The largest slope of the root of 1 - a^2, as released: at a = 1 it would be infinite.
STEEPEST = 1000.0


def rglru(
    u: jax.Array,
    forget: jax.Array,
    write: jax.Array,
    rate: jax.Array,
    first: jax.Array | None = None,
) -> Terms:
    """a = exp(-8 rate sigmoid(r)), b = sqrt(1 - a^2) sigmoid(i) u.

    Where `first` is true b has no root: the token is written whole. De et al., 2024,
    arXiv:2402.19427.
    """
    log_a = -SHARPNESS * rate * jax.nn.sigmoid(forget)
    written = root(-jnp.expm1(2 * log_a))
    if first is not None:
        written = jnp.where(first, 1, written)
    return jnp.exp(log_a), written * jax.nn.sigmoid(write) * u


@jax.custom_jvp
def root(x: jax.Array) -> jax.Array:
    """sqrt(x), with a slope of at most `STEEPEST`."""
    return jnp.sqrt(x)


@root.defjvp
def _slope(primals, tangents):
    (x,), (dx,) = primals, tangents
    return root(x), dx / (2 * jnp.sqrt(jnp.maximum(x, (2 * STEEPEST) ** -2)))


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
    """g of the source: u + 1/2 if u is positive, else sigmoid(u)."""
    return jnp.where(u >= 0, u + 0.5, jax.nn.sigmoid(u))


class Kind(NamedTuple):
    """How (u, gates, rate if any) become the terms of the recurrence."""

    terms: Callable[..., Terms]
    gates: int
    rate: bool


KINDS = {
    "rglru": Kind(rglru, 2, True),
    "mingru": Kind(mingru, 1, False),
    "minlstm": Kind(minlstm, 2, False),
}


@declared
class DiagonalOptions:
    """Options of the mixers `diagonal`, `rglru`, `mingru` and `minlstm`."""

    kind: Literal["rglru", "mingru", "minlstm"] = option("rglru", "The gates.")
    state: int = option(0, "Size N of the state; 0: the width.", low=0)
    conv: int = option(
        0, "Taps of a convolution before the recurrence, which its gates then read; 0: "
        "none, and the gates read the input.", low=0, high=1024,
    )  # fmt: skip
    gate: bool = option(True, "Multiply the output by GELU of a second projection.")
    whole: bool = option(
        False,
        "RG-LRU: write the first token of a segment whole, as the released code does; "
        "false: scaled by sqrt(1 - a^2) as any other, the formula of the paper.",
        later=True,
    )
    implementation: Literal["naive", "sequential", "associative", "chunked"] | None = (
        option(None, "Form computed, all with one result; none: the best that runs.")
    )


class Diagonal(nnx.Module):
    """y = out_projection(h * gelu(g)), h_t = a_t h_{t-1} + b_t.

    u and g are projections of the input, and so are the gates, of which `KINDS` makes a
    and b; one product serves them all. With a convolution (the block of Griffin: 4 taps
    with a bias) u passes through it first, and the gates read u. The a of RG-LRU starts
    with a^8 uniform in [0.9, 0.999]. If not causal, a second recurrence with its own
    weights runs from the end.

    The released RecurrentGemma leaves sqrt(1 - a^2) out at the first token of a
    segment, which the paper does not say; `whole` does so too. It is off by default, so
    that what was trained without it means what it meant.
    """

    Options = DiagonalOptions

    @checked
    def __init__(
        self,
        options: DiagonalOptions,
        *,
        width: int,
        causal: bool,
        length: int,
        rngs: nnx.Rngs,
    ):
        if options.whole and options.kind != "rglru":
            raise BadInput(
                f"diagonal has kind={options.kind} and whole=true; whole must be "
                "false, or kind rglru"
            )
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
        self.backward = backward(
            Diagonal, options, causal=causal, width=width, length=length, rngs=rngs
        )

    @reading
    def __call__(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None = None
    ) -> jax.Array:
        return both_directions(self._forward, self.backward, x_BTD, segments_BT)

    def start(self, batch: int, length: int, dtype: Any = jnp.float32) -> Carry:
        """The state, and the inputs that the convolution still reads."""
        refuse_decoding(self.options.kind, self.causal)
        h_BN = jnp.zeros((batch, self.size), wide(dtype))
        time = (jnp.zeros((), jnp.int32),) if self.options.whole else ()
        return h_BN, self.conv.start(batch, dtype), *time

    @stepping
    def step(self, x_BD: jax.Array, carry: Carry) -> tuple[jax.Array, Carry]:
        h_BN, recent_BWN, *time = carry
        u_BN, *rest = self._split(x_BD)
        u_BN, recent_BWN = self.conv.step(u_BN, recent_BWN)
        first = time[0][None, None] == 0 if time else None
        a_BN, b_BN, gate = self._terms(u_BN, rest, first)
        h_BN = a_BN * h_BN + b_BN
        carry = h_BN, recent_BWN, *(count + 1 for count in time)
        return self._read(h_BN.astype(x_BD.dtype), gate), carry

    def cost(self, length: int) -> Cost:
        made = [self.input, self.out, *([] if self.gates is None else [self.gates])]
        products = sum(one.kernel.get_value().size for one in made)
        products += self.size + self.conv.products()
        return cost_of(self, length, passes(self.causal) * length * products)

    reach = everything

    def _forward(self, x_BTD: jax.Array, segments_BT: jax.Array | None) -> jax.Array:
        u_BTN, *rest = self._split(without_padding(x_BTD, segments_BT))
        u_BTN = self.conv(u_BTN, segments_BT)
        first_BT1 = None
        if self.options.whole:
            ids_BT = jnp.zeros(x_BTD.shape[:2]) if segments_BT is None else segments_BT
            first_BT1 = begins(ids_BT)[..., None]
        a_BTN, b_BTN, gate = self._terms(u_BTN, rest, first_BT1)
        h_BTN = diagonal_recurrence(
            a_BTN,
            b_BTN,
            segments_BT=segments_BT,
            implementation=self.options.implementation,
        )
        return self._read(h_BTN.astype(x_BTD.dtype), gate)

    def _split(self, x: jax.Array) -> list[jax.Array]:
        """u, the gates of the recurrence if they read x, and the output gate."""
        parts = self.input(x)
        return jnp.split(parts, parts.shape[-1] // self.size, axis=-1)

    def _terms(
        self, u: jax.Array, rest: list[jax.Array], first: jax.Array | None
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
        if first is not None:
            terms.append(first)
        return *kind.terms(*terms), rest[kind.gates :]

    def _read(self, h: jax.Array, gate: list[jax.Array]) -> jax.Array:
        return self.out(h * jax.nn.gelu(gate[0]) if gate else h)
