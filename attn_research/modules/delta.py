"""Fast weights that correct themselves: DeltaNet and its descendants."""

from typing import Any, Literal

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
from attn_research.modules.head_norm import HeadNorm
from attn_research.modules.head_sizes import divided
from attn_research.modules.segments import reading
from attn_research.modules.short_convolution import ShortConvolution
from attn_research.modules.stepping import stepping
from attn_research.modules.time_step import ChannelRates, Rates
from attn_research.modules.wide_projection import project
from attn_research.ops.delta import (
    delta_start,
    generalized_delta_rule,
    generalized_delta_step,
)
from attn_research.ops.features import unit
from attn_research.ops.precision import wide
from attn_research.options import BadInput, declared, option

# The last inputs of the convolution, and the state of `delta_step`.
Carry = tuple[jax.Array, jax.Array]


@declared
class DeltaOptions:
    """Options of the mixer `delta` and of its presets."""

    heads: int = option(2, "Number of heads; must divide the width.", low=1)
    conv: int = option(
        4, "Taps of the convolution of queries, keys and values; 0: none.", low=0
    )
    decay: bool = option(
        False, "Decay the state, at a rate computed per token and head."
    )
    channels: bool = option(
        False, "Decay each channel at a rate of its own (with decay)."
    )
    steps: int = option(
        1, "Updates of the state for each token, each with a key of its own.", low=1
    )
    erase: Literal["head", "channel"] = option(
        "head", "Strength of erasing: beta of a head, or one per channel of its key."
    )
    write: Literal["head", "channel"] = option(
        "head", "Strength of writing: beta of a head, or one per channel of its value."
    )
    feedback: bool = option(
        False,
        "Erase a learned share of what is written, and subtract a learned share of the "
        "key from the query.",
    )
    negative: bool = option(
        False,
        "Let the strength of erasing reach 2, so that the state can flip the sign of "
        "its contents.",
    )
    gate: Literal["none", "silu", "sigmoid"] = option(
        "none", "Multiply the output by SiLU or sigmoid of a projection of the input."
    )
    chunk: int = option(
        64,
        "Updates computed at once by the chunked form; with a decay per channel, the "
        "next power of two.",
        low=1,
    )
    implementation: Literal["naive", "recurrent", "chunked"] | None = option(
        None, "Form computed, all with the same result; none: the best that runs here."
    )


class Delta(nnx.Module):
    """y = out_projection(rms_norm(delta_rule(q, k, v, beta))), heads side by side.

    q, k and v pass a short convolution and SiLU, queries and keys are scaled to length
    1, beta is a sigmoid of the input. If not causal, a second mixer with its own
    weights runs from the end: a token's correction depends on all tokens before it, so
    that no single sum covers both sides.

    Presets: `gated_delta`; `kda` and `gdn2`, whose published output gates have a low
    rank; `deltaproduct` and `gated_deltaproduct`; `comba`.
    """

    Options = DeltaOptions

    @checked
    def __init__(
        self,
        options: DeltaOptions,
        *,
        width: int,
        causal: bool,
        length: int,
        rngs: nnx.Rngs,
    ):
        H, J = options.heads, options.steps
        K = divided("delta", width, H)
        if options.channels and not options.decay:
            raise BadInput(
                "delta has channels=true and decay=false; decay must be true, or "
                "channels false"
            )
        self.options, self.width, self.causal = options, width, causal
        arrays = (1 + 2 * J) * width  # a query, and a key and a value for each update
        self.qkv = Projection(width, arrays, rngs=rngs)
        self.conv = ShortConvolution(arrays, options.conv, rngs=rngs)
        kinds = options.erase, options.write
        self.beta = Projection(width, J * H, rngs=rngs) if "head" in kinds else None
        self.erase, self.write = (
            Projection(width, J * width, rngs=rngs) if kind == "channel" else None
            for kind in kinds
        )
        if options.channels:
            self.rates = ChannelRates(width, H, K, rngs=rngs)
        else:
            self.rates = Rates(width, H, rngs=rngs) if options.decay else None
        self.feedback = Feedback(H) if options.feedback else None
        self.norm = HeadNorm(width, width, H, options.gate, rngs=rngs)
        self.out = Projection(width, width, rngs=rngs)
        self.backward = backward(
            Delta, options, causal=causal, width=width, length=length, rngs=rngs
        )

    @reading
    def __call__(
        self, x_BTD: jax.Array, segments_BT: jax.Array | None = None
    ) -> jax.Array:
        return both_directions(self._forward, self.backward, x_BTD, segments_BT)

    def start(self, batch: int, length: int, dtype: Any = jnp.float32) -> Carry:
        refuse_decoding("delta", self.causal)
        H = self.options.heads
        K = self.width // H
        return self.conv.start(batch, wide(dtype)), delta_start(batch, H, K, K, dtype)

    @stepping
    def step(self, x_BD: jax.Array, carry: Carry) -> tuple[jax.Array, Carry]:
        recent_BWD, state_BHKE = carry
        qkv_BD, recent_BWD = self.conv.step(project(self.qkv, x_BD), recent_BWD)
        y_BHE, state_BHKE = generalized_delta_step(
            *self._arrays(x_BD, qkv_BD), state_BHKE, log_decay_BHK=self._decay(x_BD)
        )
        return self.out(self.norm(y_BHE, x_BD)), (recent_BWD, state_BHKE)

    def cost(self, length: int) -> Cost:
        D, J = self.width, self.options.steps
        K = D // self.options.heads
        C = min(self.options.chunk, J * length)
        rates = [] if self.rates is None else self.rates.projections()
        strengths = self.beta, self.erase, self.write
        projections = (self.qkv, *strengths, *rates, self.norm.gate, self.out)
        products = sum(p.kernel.get_value().size for p in projections if p is not None)
        # Within a chunk keys with keys and queries, the system (half of it is zero) and
        # the values; between chunks reading for keys and for queries, and writing.
        mixing = J * D * (3 * C + C // 2 + 3 * K) + self.conv.products()
        return cost_of(self, length, passes(self.causal) * length * (products + mixing))

    reach = everything

    @property
    def compound(self) -> bool:
        """Whether a token does more than decay each head and correct along one key."""
        options = self.options
        vector = options.channels or options.erase == "channel"
        return options.steps > 1 or vector or options.feedback

    def _forward(self, x_BTD: jax.Array, segments_BT: jax.Array | None) -> jax.Array:
        x_BTD = without_padding(x_BTD, segments_BT)
        y_BTHE = generalized_delta_rule(
            *self._arrays(x_BTD, self.conv(project(self.qkv, x_BTD), segments_BT)),
            log_decay_BTHK=self._decay(x_BTD),
            segments_BT=segments_BT,
            chunk=self.options.chunk,
            implementation=self.options.implementation,
        )
        return self.out(self.norm(y_BTHE, x_BTD))

    def _arrays(
        self, x: jax.Array, qkv: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
        """q (..., H, K), and (..., J, H, K): k, what is written, what erases."""
        J, H = self.options.steps, self.options.heads
        heads = qkv.reshape(*x.shape[:-1], 1 + 2 * J, H, self.width // H)
        q, k, v = jnp.split(heads, (1, 1 + J), axis=-3)
        q, k = unit(q[..., 0, :, :]), unit(k)
        erase, write = self.strengths(x)
        erase = erase * k
        if self.feedback is not None:
            q, erase = self.feedback(q, k[..., -1, :, :], erase)
        return q, k, write * v, erase

    def strengths(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Those of erasing and of writing: (..., J, H, 1 or K), 0 to 1 or to 2."""
        x = x.astype(wide(x.dtype))
        shape = *x.shape[:-1], self.options.steps, self.options.heads, -1
        most = 2 if self.options.negative else 1
        beta, erase, write = (
            None if gate is None else jax.nn.sigmoid(gate(x)).reshape(shape)
            for gate in (self.beta, self.erase, self.write)
        )
        beta = None if beta is None else most * beta
        erase = beta if erase is None else most * erase
        write = beta if write is None else write
        assert erase is not None and write is not None
        return erase, write

    def _decay(self, x: jax.Array) -> jax.Array | None:
        """The log decays (..., H, 1 or K)."""
        if self.rates is None:
            return None
        log_decay = self.rates.log_decay(x)
        return log_decay if self.options.channels else log_decay[..., None]


class Feedback(nnx.Module):
    """Of each head the share of a key that erases, and the share taken from the query.

    Closed-loop control as in Comba: erase = sigmoid(share) b k, q - correction k.
    """

    def __init__(self, heads: int):
        self.share = nnx.Param(jnp.ones(heads, jnp.float32))
        self.correction = nnx.Param(jnp.full(heads, 0.02, jnp.float32))

    def __call__(
        self, q: jax.Array, k: jax.Array, erase: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """(q, erase) of q and the last key (..., H, K), and erase (..., J, H, K)."""
        share, correction = (
            p.get_value().astype(q.dtype)[:, None]
            for p in (self.share, self.correction)
        )
        q = q - jnp.expand_dims(correction, tuple(range(q.ndim - 2))) * k
        share = jnp.expand_dims(jax.nn.sigmoid(share), tuple(range(erase.ndim - 2)))
        return q, share * erase
